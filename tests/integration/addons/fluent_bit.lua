-- Calls the functions of fields.lua (arg[1]) as Fluent Bit's lua filter does, and prints what becomes of each record.
dofile(arg[1])

local function show(value)
    if type(value) ~= "table" then
        return type(value) == "string" and string.format("%q", value) or tostring(value)
    end
    local names, parts = {}, {}
    for name in pairs(value) do
        table.insert(names, name)
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do
        table.insert(parts, (type(name) == "number" and "" or name .. "=") .. show(value[name]))
    end
    return "{" .. table.concat(parts, " ") .. "}"
end

local function of(pod, fields)
    return {log = "line", log_processed = fields, kubernetes = {namespace_name = "default", container_name = pod}}
end

local function print_container(name, fields)
    local code, _, record = container("kube.x", 1, of(name, fields))
    print(name .. ": " .. code .. " " .. show(record.log_processed) .. " " .. tostring(record.log))
end

print("text: " .. container("kube.x", 1, {log = "no JSON"}))
print_container("flat", {level = "info", code = 3, ok = false})
print_container("nested", {level = {code = 3, deep = {["er"] = "x"}}, ["a.b"] = 1})
print_container("list", {tags = {"a", "b"}, of = {{x = 1}, {x = "two"}}, none = {}})
print_container("huge", {id = 2 ^ 60, small = 1})
print_container("empty", {only = {}})
print_container("names", {["  "] = 1, [" a\n"] = 3, [("n"):rep(300)] = 4})
for i = 1, 250 do
    container("kube.x", 1, of("many", {["key" .. i] = i}))
end
print_container("many", {key1 = 1, key249 = 2, another = 3})
print_container("others", {another = 3})
local code, _, record = forwarded("forward.app.x", 1, {log = {a = 1}, kubernetes = "mine", ["@timestamp"] = "x"})
print("forwarded: " .. code .. " " .. show(record))
