#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lua5.1/lauxlib.h>
#include <lua5.1/lua.h>
#include <lua5.1/lualib.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/program.h"

static void push(lua_State *lua, const json_t *value)
{
    const char *key;
    size_t i;
    json_t *member;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        lua_newtable(lua);
        json_object_foreach ((json_t *)value, key, member) {
            lua_pushstring(lua, key);
            push(lua, member);
            lua_settable(lua, -3);
        }
        return;
    case JSON_ARRAY:
        lua_newtable(lua);
        json_array_foreach (value, i, member) {
            push(lua, member);
            lua_rawseti(lua, -2, (int)i + 1);
        }
        return;
    case JSON_STRING:
        lua_pushlstring(lua, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        lua_pushnumber(lua, json_number_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(lua, json_is_true(value));
        return;
    default:
        lua_pushnil(lua);
    }
}

static json_t *pop(lua_State *lua, int at);

static json_t *pop_table(lua_State *lua, int at)
{
    size_t length = lua_objlen(lua, at);
    if (length > 0) {
        json_t *array = json_array();
        for (size_t i = 1; i <= length; i++) {
            lua_rawgeti(lua, at, (int)i);
            json_array_append_new(array, pop(lua, lua_gettop(lua)));
            lua_pop(lua, 1);
        }
        return array;
    }
    json_t *object = json_object();
    lua_pushnil(lua);
    while (lua_next(lua, at) != 0) {
        lua_pushvalue(lua, -2); /* lua_tostring would change the key */
        const char *key = lua_tostring(lua, -1);
        json_t *value = pop(lua, lua_gettop(lua) - 1);
        if (key != NULL) {
            json_object_set_new_nocheck(object, key, value);
        } else {
            json_decref(value);
        }
        lua_pop(lua, 2);
    }
    return object;
}

static json_t *pop(lua_State *lua, int at)
{
    double number;
    size_t length;
    const char *text;
    switch (lua_type(lua, at)) {
    case LUA_TTABLE:
        return pop_table(lua, at);
    case LUA_TSTRING:
        text = lua_tolstring(lua, at, &length);
        return json_stringn_nocheck(text, length);
    case LUA_TNUMBER:
        number = lua_tonumber(lua, at);
        return number >= -9e15 && number <= 9e15 && floor(number) >= number ? json_integer((json_int_t)number)
                                                                            : json_real(number);
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(lua, at));
    default:
        return json_null();
    }
}

/* Each script once; a section of its own each. */
static lua_State *state_of(const struct section *section)
{
    static struct {
        const struct section *section;
        lua_State *lua;
    } states[16];
    const char *script = conf_text(section, "script", NULL);
    for (size_t i = 0; i < ELEMENTS(states); i++) {
        if (states[i].section == section) {
            return states[i].lua;
        }
        if (states[i].section == NULL) {
            lua_State *lua = luaL_newstate();
            luaL_openlibs(lua);
            if (script == NULL || luaL_dofile(lua, script) != 0) {
                fail("[filter:lua] %s: %s", script == NULL ? "no script" : script,
                     script == NULL ? "" : lua_tostring(lua, -1));
            }
            states[i].section = section;
            states[i].lua = lua;
            return lua;
        }
    }
    fail("[filter:lua] too many of them");
}

json_t *filter_lua(const struct section *section, const char *tag, struct timespec when, json_t *record)
{
    if (record == NULL) { /* at start: the script is read and its function is there */
        lua_State *lua = state_of(section);
        lua_getglobal(lua, conf_text(section, "call", ""));
        if (!lua_isfunction(lua, -1)) {
            fail("[filter:lua] function %s is not found", conf_text(section, "call", ""));
        }
        lua_pop(lua, 1);
        return NULL;
    }
    lua_State *lua = state_of(section);
    lua_getglobal(lua, conf_text(section, "call", ""));
    lua_pushstring(lua, tag);
    lua_pushnumber(lua, (double)when.tv_sec + (double)when.tv_nsec / 1e9);
    push(lua, record);
    if (lua_pcall(lua, 3, 3, 0) != 0) {
        say("[filter:lua] %s", lua_tostring(lua, -1));
        lua_settop(lua, 0);
        return record;
    }
    int code = (int)lua_tonumber(lua, -3);
    if (code == -1) {
        json_decref(record);
        record = NULL;
    } else if (code == 1 || code == 2) {
        json_t *changed = pop(lua, lua_gettop(lua));
        json_decref(record);
        record = changed;
    }
    lua_settop(lua, 0);
    return record;
}
