#!/bin/sh
# A Docker whose stop never ends, and hooks that do not wait two minutes for it.
set -e
mkdir -p /run/systemd/system/docker.service.d
printf '[Service]\nExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity\n' >/run/systemd/system/docker.service.d/99-hanging.conf
systemctl daemon-reload
echo 'timeouts { unit-s = 10 }' >/etc/k8s-hooks/hook.conf.d/hanging.conf
