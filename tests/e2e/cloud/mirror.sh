# mirror.sh ADDRESS: a mirror of Docker Hub with the images in /root/hub.tar, on this machine.
set -eu
mkdir -p /root/hub/data
tar -xf /root/hub.tar -C /root/hub/data
rm /root/hub.tar
cat >/root/hub/config.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /root/hub/data}, maintenance: {readonly: {enabled: true}}}
http: {addr: "$1"}
END
chmod 0755 /root/docker-registry
systemd-run --unit=mirror /root/docker-registry serve /root/hub/config.yml
until curl -s -m 5 -o /dev/null "http://$1/v2/"; do sleep 0.2; done
