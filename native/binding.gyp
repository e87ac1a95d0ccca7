{
  "variables": { "sanitize%": "false" },
  "targets": [
    {
      "target_name": "drawbridge",
      "sources": [
        "src/addon.cc",
        "src/args.cc",
        "src/checksum.cc",
        "src/frame_stream.cc",
        "src/inflate.cc",
        "src/literal.cc",
        "src/local_socket.cc",
        "src/interfaces.cc",
        "src/io_loop.cc",
        "src/io_loop_binding.cc",
        "src/memory.cc",
        "src/pcre.cc",
        "src/ports.cc",
        "src/privileges.cc",
        "src/segment.cc",
        "src/segment_binding.cc",
        "src/transmit.cc",
        "src/unix_ports.cc",
        "src/vectorscan.cc"
      ],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-O3", "-g", "-Wall", "-Wextra", "-Wshadow", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++20", "-std=gnu++17"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
      "libraries": ["-lhs", "-lpcre2-8"],
      "conditions": [
        ["sanitize=='true'", {
          "cflags!": ["-O3"],
          "cflags": ["-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
          "ldflags": ["-fsanitize=address,undefined"]
        }]
      ]
    }
  ]
}
