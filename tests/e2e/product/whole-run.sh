#!/bin/sh
# whole-run.sh UNIT: a run of the oneshot UNIT that begins now. One that its timer has begun may be past what was changed a
# moment ago, and `systemctl start` would only wait until that one ends.
while [ "$(systemctl show -P SubState "$1")" = start ]; do
    sleep 0.2
done
systemctl start "$1"
