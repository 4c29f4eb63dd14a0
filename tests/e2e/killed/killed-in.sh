#!/bin/sh
# killed-in.sh BINARY EVENT STEP: runs the event and kills it in the middle of that step. Fails when the event finished before.
"/opt/kubernetes/bin/$1" "$2" >/dev/null 2>&1 &
pid=$!
# before all others, so that on a loaded machine too a step is seen before it is over
renice -n -20 -p $$ >/dev/null
until grep -q "\"pid\":$pid,.*{\"name\":\"$3\",\"started\":[0-9]*}]}]\$" /data/kubernetes/hooks/runs.json; do
    kill -0 $pid || exit 1
    sleep 0.02
done
kill -9 $pid
wait $pid
[ $? = 137 ]
