package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// store holds the leaves of the metadata by their paths.
type store map[string]string

// pair is what a template gets of a key: {{.Key}}, {{.Value}}.
type pair struct{ Key, Value string }

func (s store) flatten(at string, node interface{}) {
	switch node := node.(type) {
	case map[string]interface{}:
		for key, child := range node {
			s.flatten(at+"/"+key, child)
		}
	case string:
		s[at] = node
	case nil:
	default:
		s[at] = fmt.Sprint(node)
	}
}

// below has the keys under prefix, without it.
func (s store) below(prefix string) store {
	prefix = "/" + strings.Trim(prefix, "/")
	if prefix == "/" {
		return s
	}
	found := store{}
	for key, value := range s {
		if strings.HasPrefix(key, prefix+"/") {
			found[key[len(prefix):]] = value
		}
	}
	return found
}

func (s store) exists(key string) bool {
	_, found := s[key]
	return found
}

func (s store) get(key string) (pair, error) {
	if value, found := s[key]; found {
		return pair{key, value}, nil
	}
	return pair{}, fmt.Errorf("%s: key does not exist", key)
}

func (s store) getv(key string, otherwise ...string) (string, error) {
	if value, found := s[key]; found {
		return value, nil
	}
	if len(otherwise) > 0 {
		return otherwise[0], nil
	}
	return "", fmt.Errorf("%s: key does not exist", key)
}

// gets answers with the pairs whose keys match pattern (of path.Match), by key.
func (s store) gets(pattern string) ([]pair, error) {
	found := []pair{}
	for key, value := range s {
		matches, err := path.Match(pattern, key)
		if err != nil {
			return nil, err
		}
		if matches {
			found = append(found, pair{key, value})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Key < found[j].Key })
	return found, nil
}

func (s store) getvs(pattern string) ([]string, error) {
	pairs, err := s.gets(pattern)
	values := []string{}
	for _, p := range pairs {
		values = append(values, p.Value)
	}
	sort.Strings(values)
	return values, err
}

// list has the names right below directory, each once; only those that are directories where wanted.
func (s store) list(directory string, onlyDirectories bool) []string {
	directory = "/" + strings.Trim(directory, "/")
	seen := map[string]bool{}
	names := []string{}
	for key := range s {
		rest := strings.TrimPrefix(key, strings.TrimSuffix(directory, "/")+"/")
		if key == directory && !onlyDirectories {
			rest = path.Base(key)
		} else if rest == key {
			continue
		}
		name, below, deeper := strings.Cut(rest, "/")
		if (onlyDirectories && (!deeper || below == "")) || seen[name] {
			continue
		}
		seen[name] = true
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// number takes what a template has: a number, or text that holds one.
func number(value interface{}) (float64, error) {
	switch value := value.(type) {
	case int:
		return float64(value), nil
	case int64:
		return float64(value), nil
	case uint64:
		return float64(value), nil
	case float64:
		return value, nil
	case string:
		found, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", value)
		}
		return found, nil
	}
	return 0, fmt.Errorf("%v is not a number", value)
}

// whole is an int where the result is one, so that it prints without a fraction.
func whole(value float64) interface{} {
	if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
		return int(value)
	}
	return value
}

func fraction(value interface{}) bool {
	switch value := value.(type) {
	case float64:
		return true
	case string:
		return strings.Contains(value, ".")
	}
	return false
}

func arithmetic(operate func(a, b float64) (float64, error)) func(a, b interface{}) (interface{}, error) {
	return func(a, b interface{}) (interface{}, error) {
		x, err := number(a)
		if err != nil {
			return nil, err
		}
		y, err := number(b)
		if err != nil {
			return nil, err
		}
		result, err := operate(x, y)
		return whole(result), err
	}
}

// divide keeps to whole numbers where both are.
func divide(a, b interface{}) (interface{}, error) {
	exact := fraction(a) || fraction(b)
	return arithmetic(func(x, y float64) (float64, error) {
		if y == 0 {
			return 0, errors.New("division by zero")
		}
		if exact {
			return x / y, nil
		}
		return math.Trunc(x / y), nil
	})(a, b)
}

func remainder(x, y float64) (float64, error) {
	if math.Trunc(y) == 0 {
		return 0, errors.New("division by zero")
	}
	return math.Mod(math.Trunc(x), math.Trunc(y)), nil
}

// comparable is a number where value is one or text that holds one.
func comparable(value interface{}) interface{} {
	if found, err := number(value); err == nil {
		return found
	}
	return value
}

// equal takes "1" and 1 as equal: AppCenter's parameters are all text.
func equal(a, b interface{}) bool {
	return reflect.DeepEqual(comparable(a), comparable(b))
}

// size is what lists, maps, numbers and text are ordered by; text that holds no number is 0.
func size(value interface{}) float64 {
	if found, err := number(value); err == nil {
		return found
	}
	switch reflected := reflect.ValueOf(value); reflected.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice:
		return float64(reflected.Len())
	}
	return 0
}

// order is negative where a comes before b: two texts by their letters, all else by size.
func order(a, b interface{}) float64 {
	left, isText := comparable(a).(string)
	right, areText := comparable(b).(string)
	if isText && areText {
		return float64(strings.Compare(left, right))
	}
	return size(a) - size(b)
}

// filter keeps the texts, or the pairs by their values, in which pattern is found.
func filter(pattern string, list interface{}) ([]interface{}, error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	values := reflect.ValueOf(list)
	if values.Kind() != reflect.Slice && values.Kind() != reflect.Array {
		return nil, fmt.Errorf("filter: %T is not a list", list)
	}
	found := []interface{}{}
	for i := 0; i < values.Len(); i++ {
		switch value := values.Index(i).Interface().(type) {
		case string:
			if expression.MatchString(value) {
				found = append(found, value)
			}
		case pair:
			if expression.MatchString(value.Value) {
				found = append(found, value)
			}
		}
	}
	return found, nil
}

func toJSON(value interface{}) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func services(service, protocol, name string) []*net.SRV {
	_, found, err := net.LookupSRV(service, protocol, name)
	if err != nil {
		return nil
	}
	sort.Slice(found, func(i, j int) bool { return fmt.Sprint(*found[i]) < fmt.Sprint(*found[j]) })
	return found
}

func sequence(first, last interface{}) ([]int, error) {
	from, err := number(first)
	if err != nil {
		return nil, err
	}
	to, err := number(last)
	if err != nil {
		return nil, err
	}
	numbers := []int{}
	for i := int(from); i <= int(to); i++ {
		numbers = append(numbers, i)
	}
	return numbers, nil
}

func object(text string) (map[string]interface{}, error) {
	var found map[string]interface{}
	err := json.Unmarshal([]byte(text), &found)
	return found, err
}

func array(text string) ([]interface{}, error) {
	var found []interface{}
	err := json.Unmarshal([]byte(text), &found)
	return found, err
}

// dictionary makes a map of its arguments: {{map "a" 1 "b" 2}}.
func dictionary(values ...interface{}) (map[string]interface{}, error) {
	if len(values)%2 != 0 {
		return nil, errors.New("map: a value is missing")
	}
	found := map[string]interface{}{}
	for i := 0; i < len(values); i += 2 {
		key, text := values[i].(string)
		if !text {
			return nil, fmt.Errorf("map: %v is not a key", values[i])
		}
		found[key] = values[i+1]
	}
	return found, nil
}

func backwards(values interface{}) (interface{}, error) {
	switch values := values.(type) {
	case []string:
		found := make([]string, 0, len(values))
		for i := len(values) - 1; i >= 0; i-- {
			found = append(found, values[i])
		}
		return found, nil
	case []pair:
		found := make([]pair, 0, len(values))
		for i := len(values) - 1; i >= 0; i-- {
			found = append(found, values[i])
		}
		return found, nil
	}
	return nil, fmt.Errorf("reverse: %T is not a list", values)
}

func byLength(values []string) []string {
	found := append([]string{}, values...)
	sort.SliceStable(found, func(i, j int) bool { return len(found[i]) < len(found[j]) })
	return found
}

func addresses(host string) []string {
	found, err := net.LookupIP(host)
	names := []string{}
	for _, address := range found {
		names = append(names, address.String())
	}
	if err != nil {
		return names
	}
	sort.Strings(names)
	return names
}

func environment(key string, otherwise ...string) string {
	value := os.Getenv(key)
	if value == "" && len(otherwise) > 0 {
		return otherwise[0]
	}
	return value
}

func decoded(text string) (string, error) {
	found, err := base64.StdEncoding.DecodeString(text)
	return string(found), err
}

// functions are confd's (docs/templates.md of github.com/kelseyhightower/confd) and those that AppCenter's confd adds.
func functions(known store) map[string]interface{} {
	return map[string]interface{}{
		"exists": known.exists, "get": known.get, "gets": known.gets, "getv": known.getv, "getvs": known.getvs,
		"ls":    func(directory string) []string { return known.list(directory, false) },
		"lsdir": func(directory string) []string { return known.list(directory, true) },

		"base": path.Base, "dir": path.Dir, "split": strings.Split, "join": strings.Join, "contains": strings.Contains,
		"replace": strings.Replace, "trimSuffix": strings.TrimSuffix, "toUpper": strings.ToUpper,
		"toLower": strings.ToLower, "reverse": backwards, "sortByLength": byLength,
		"json": object, "jsonArray": array, "map": dictionary, "base64Decode": decoded,
		"base64Encode": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"parseBool":    strconv.ParseBool, "atoi": strconv.Atoi, "getenv": environment, "lookupIP": addresses,
		"datetime": time.Now,
		"fileExists": func(name string) bool {
			_, err := os.Stat(name)
			return err == nil
		},

		"add": arithmetic(func(x, y float64) (float64, error) { return x + y, nil }),
		"sub": arithmetic(func(x, y float64) (float64, error) { return x - y, nil }),
		"mul": arithmetic(func(x, y float64) (float64, error) { return x * y, nil }),
		"max": arithmetic(func(x, y float64) (float64, error) { return math.Max(x, y), nil }),
		"min": arithmetic(func(x, y float64) (float64, error) { return math.Min(x, y), nil }),
		"eq":  equal, "ne": func(a, b interface{}) bool { return !equal(a, b) },
		"lt": func(a, b interface{}) bool { return order(a, b) < 0 },
		"le": func(a, b interface{}) bool { return order(a, b) <= 0 },
		"gt": func(a, b interface{}) bool { return order(a, b) > 0 },
		"ge": func(a, b interface{}) bool { return order(a, b) >= 0 },

		"filter": filter, "toJson": toJSON, "lookupSRV": services,
		"div": divide, "mod": arithmetic(remainder), "seq": sequence,
	}
}
