<?php
// As the image wordpress does: what the environment says, and its defaults where it says nothing.
function from_environment($name, $default)
{
    $value = getenv($name);
    return $value === false ? $default : $value;
}

define('DB_NAME', from_environment('WORDPRESS_DB_NAME', 'wordpress'));
define('DB_USER', from_environment('WORDPRESS_DB_USER', 'example username'));
define('DB_PASSWORD', from_environment('WORDPRESS_DB_PASSWORD', 'example password'));
define('DB_HOST', from_environment('WORDPRESS_DB_HOST', 'mysql'));
define('DB_CHARSET', 'utf8');
define('DB_COLLATE', '');
foreach (array('AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE') as $key) {
    define($key . '_KEY', '@RANDOM@' . $key . 'key');
    define($key . '_SALT', '@RANDOM@' . $key . 'salt');
}
$table_prefix = from_environment('WORDPRESS_TABLE_PREFIX', 'wp_');
define('WP_DEBUG', false);
define('WP_HTTP_BLOCK_EXTERNAL', true); // the lab reaches nobody
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
