#!/bin/sh
# MariaDB as the image mysql begins: an empty /var/lib/mysql gets root's password and the database that the environment names
# (hub.docker.com/_/mysql, "Environment Variables"); one with a database is left as it is.
set -eu
data=/var/lib/mysql
new=$data/.new # complete before it is in its place, whatever ends this meanwhile
sql=/usr/share/mysql

quoted() { # as a string of SQL
    printf "'%s'" "$(printf %s "$1" | sed "s/[\\\\']/\\\\&/g")"
}

tables() {
    printf '%s;\n' 'CREATE DATABASE mysql' 'USE mysql' 'SET @auth_root_socket = NULL'
    cat $sql/mysql_system_tables.sql $sql/mysql_performance_tables.sql
    grep -v @current_hostname $sql/mysql_system_tables_data.sql
    cat $sql/maria_add_gis_sp_bootstrap.sql
    password=$(quoted "${MYSQL_ROOT_PASSWORD:-}")
    echo 'FLUSH PRIVILEGES;'
    echo "DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'mariadb.sys') OR Host NOT IN ('localhost');"
    echo 'FLUSH PRIVILEGES;'
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $password;"
    echo "CREATE USER 'root'@'%' IDENTIFIED BY $password;"
    echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    [ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"
}

if [ ! -d $data/mysql ]; then
    if [ -z "${MYSQL_ROOT_PASSWORD:-}${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ]; then
        echo "the database has no password: set MYSQL_ROOT_PASSWORD or MYSQL_ALLOW_EMPTY_PASSWORD" >&2
        exit 1
    fi
    rm -rf $new
    mkdir $new
    chown mysql $data $new
    tables | mariadbd --bootstrap --user=mysql --datadir=$new --max-allowed-packet=8M
    for file in "$new"/*; do
        [ "$file" = $new/mysql ] || mv "$file" $data/
    done
    mv $new/mysql $data/
    rmdir $new
fi
mkdir -p /run/mysqld
chown mysql /run/mysqld
exec mariadbd --user=mysql --datadir=$data --skip-name-resolve "$@"
