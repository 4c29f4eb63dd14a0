/* Text for people and for JSON, out of bytes that other programs wrote. */
#ifndef LIB_TEXT_UTF8_H
#define LIB_TEXT_UTF8_H

#include <stddef.h>

/* Length in bytes of the character at TEXT (Unicode 15, table 3-7: no surrogate, nothing longer than it need be); 0
 * when there is none, also at the end. */
size_t utf8_length(const char *text);

/* TEXT as valid UTF-8 of at most MOST bytes (at least 3): what belongs to no character becomes "?", and what is too
 * long is cut between two characters and ends in "...". The caller frees. */
char *utf8_text(const char *text, size_t most);

#endif
