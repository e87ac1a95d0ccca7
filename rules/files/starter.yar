/*
 * What the appliance looks for when no engine is configured: few rules that do not err. Written for Drawbridge, Apache-2.0.
 * For real coverage add clamd, or YARA rules from a source you trust, under files.engines.
 */

rule Eicar_Test_File
{
    meta:
        description = "The anti-malware test file of eicar.org: harmless, and every scanner is expected to find it"
    strings:
        $a = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 2D 53 54 41 4E 44 41 52 44 2D 41 4E 54 49 56 49 52 55 53 2D 54 45 53 54 2D 46 49 4C 45 21 24 48 2B 48 2A }
    condition:
        $a at 0 and filesize < 128
}

rule Php_Webshell_Eval_Of_Request
{
    meta:
        description = "PHP that runs what a request carries"
    strings:
        $php = "<?php" nocase
        $short = "<?="
        $direct = /\b(eval|assert|system|passthru|shell_exec|popen|proc_open)\s*\(\s*@?\s*(base64_decode\s*\(\s*)?\$_(GET|POST|REQUEST|COOKIE)\s*\[/ nocase
        $called = /\$_(GET|POST|REQUEST|COOKIE)\s*\[\s*['"]?\w{1,32}['"]?\s*\]\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*\[/
    condition:
        filesize < 1MB and ($php or $short) and ($direct or $called)
}

rule Jsp_Webshell_Exec_Of_Request
{
    meta:
        description = "JSP that runs what a request carries"
    strings:
        $jsp = "<%"
        $exec = /getRuntime\s*\(\s*\)\s*\.\s*exec\s*\(\s*request\s*\.\s*getParameter\s*\(/
    condition:
        filesize < 1MB and $jsp and $exec
}

rule Shell_Reverse_Shell
{
    meta:
        description = "A script that hands a shell to a remote host"
    strings:
        $script = "#!"
        $bash = /\b(ba)?sh\s+-i\s*(>&|&>|>)\s*\/dev\/(tcp|udp)\/[0-9A-Za-z.-]{4,253}\/[0-9]{2,5}/
        $mkfifo = /mkfifo\s+(\/\S{1,64}).{0,40}\|\s*\/bin\/(ba)?sh\s+-i\s+2>&1\s*\|\s*nc\s/
    condition:
        filesize < 256KB and $script at 0 and ($bash or $mkfifo)
}

rule Linux_Preload_Rootkit
{
    meta:
        description = "Shared object that hooks directory listing and hides itself from ld.so.preload"
    strings:
        $preload = "/etc/ld.so.preload"
        $a = "readdir64"
        $b = "dlsym"
        $c = "__lxstat64"
        $d = "fopen64"
        $hide = /HIDE|MAGIC_GID|hidden_?(port|proc|file)/ nocase
    condition:
        filesize < 4MB and uint32be(0) == 0x7f454c46 and $preload and $hide and 3 of ($a, $b, $c, $d)
}

rule Coin_Miner_Configuration
{
    meta:
        description = "XMRig with a pool and wallet built in or beside it"
    strings:
        $pool = /"url"\s*:\s*"(stratum\+(tcp|ssl):\/\/)?[0-9a-z.-]{4,253}:[0-9]{2,5}"/
        $donate = "\"donate-level\""
        $wallet = /"user"\s*:\s*"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}"/
    condition:
        filesize < 1MB and all of them
}
