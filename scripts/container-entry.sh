#!/bin/sh
# Entry of the container image: drawbridge as the least user that can do the job.
# Docker leaves a process that is not root no capability at all (podman makes --cap-add ambient), so live ports start as
# --user 0. With SETUID and SETGID added, NET_ADMIN and NET_RAW are handed to user node as ambient capabilities here and root
# is given up before Node starts; without them root stays, with the capabilities the container was given and no more.
# --disable-sigusr1: the debugger's signal thread would be the only one that cannot be told to drop its capabilities.
set -eu
set -- node --disable-sigusr1 /opt/drawbridge/bin/drawbridge "$@"
if [ "$(id -u)" = 0 ]; then
  caps='-all,+net_admin,+net_raw'
  become="setpriv --reuid=node --regid=node --init-groups --inh-caps=$caps --ambient-caps=$caps"
  if $become true 2>/dev/null; then exec $become "$@"; fi
fi
exec "$@"
