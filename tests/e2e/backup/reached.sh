#!/bin/sh
# reached.sh CIDR ADDRESS...: each address is of the pod network CIDR (a /24), and answers on port 8080 from here
network=${1%.*}
shift
test $# -gt 0 || exit
for address; do
    test "${address%.*}" = "$network" && curl -s -m 5 -o /dev/null "http://$address:8080/" || exit
done
