#!/bin/sh
# Asks the service over and over; what did not answer is a line in /root/failures. Ends when /root/probe is gone.
touch /root/probe && : >/root/failures && : >/root/answers
while [ -e /root/probe ]; do
    if answer=$(curl -sf -m 3 http://10.96.7.7/); then echo "$answer" >>/root/answers; else date >>/root/failures; fi
    sleep 0.2
done
