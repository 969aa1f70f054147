#!/bin/sh
# Stands where the runner's node is: enough to see that it was copied and can be run.
[ "${1:-}" != --version ] || set -- -c 'echo v20.0.0'
exec /bin/sh "$@"
