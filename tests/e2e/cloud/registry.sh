# registry.sh ADDRESS: a registry on this machine that asks for the account user, password, with an image project/app:1.0.
set -eu
mkdir -p /root/registry
cat >/root/registry/config.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /root/registry/data}}
http: {addr: "$1"}
auth: {htpasswd: {realm: lab, path: /root/registry/accounts}}
END
cat >/root/registry/accounts <<'END'
user:$2b$04$7z.ySIf.0aPlyCr6Nd4oh.vlsMDqDcbXBk8WUjtfVnRay5MleOMPC
END
chmod 0755 /root/docker-registry
systemd-run --unit=registry /root/docker-registry serve /root/registry/config.yml
until curl -s -m 5 -o /dev/null "http://$1/v2/"; do sleep 0.2; done
docker commit --change 'CMD ["sleep", "100000"]' "$(docker create busybox:1.35.0 true)" "$1/project/app:1.0"
printf password | docker login --username user --password-stdin "$1"
docker push "$1/project/app:1.0"
docker logout "$1"
