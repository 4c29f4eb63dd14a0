#!/bin/sh
# WordPress as the image wordpress begins: an empty /var/www/html gets a copy of it, which reads WORDPRESS_DB_HOST, _USER,
# _PASSWORD and _NAME (hub.docker.com/_/wordpress, "How to use this image"); then Apache with PHP at port 80.
set -eu
cd /var/www/html
if [ ! -e index.php ] || [ ! -e wp-includes/version.php ]; then
    cp -r /usr/src/wordpress/. .
    sed -i "s/@RANDOM@/$(head -c 48 /dev/urandom | sha256sum | cut -d' ' -f1)/" wp-config.php
    chown -R www-data:www-data .
fi
mkdir -p /run/apache2
exec apache2 -f /usr/local/etc/apache2/apache2.conf -D FOREGROUND
