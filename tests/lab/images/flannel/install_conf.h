#ifndef LAB_IMAGES_FLANNEL_INSTALL_CONF_H
#define LAB_IMAGES_FLANNEL_INSTALL_CONF_H

/* The image's second program, which its init container runs: copies the file FROM, which must parse, to TO. */
int install_conf(const char *from, const char *to);

#endif
