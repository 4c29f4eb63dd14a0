#!/bin/sh
# pod-get.sh ADDRESS PORT [POD]: what a pod of the node is answered there within 3 s (busybox' wget cannot do it: it crashes)
exec kubectl exec "${3:-deployment/probe}" -- sh -c "printf 'GET /self HTTP/1.0\r\nHost: metadata\r\n\r\n' | nc -w 3 $1 $2"
