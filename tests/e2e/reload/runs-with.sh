#!/bin/sh
# runs-with.sh PROGRAM ARGUMENT: whether it runs, and with that
pid=$(pidof "$1") && tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxe "$2"
