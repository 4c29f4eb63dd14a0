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

// operand is a number as AppCenter's confd reckons with it: text with a "." in it, and what was reckoned from such, is a
// fraction (and prints as Go prints a float64: 1e+07), all else is whole.
type operand struct {
	whole    int64
	exact    float64
	fraction bool
}

func fraction(value float64) operand {
	return operand{int64(value), value, true}
}

func whole(value int64) operand {
	return operand{value, float64(value), false}
}

// number takes what a template has: a number, or text that holds one.
func number(value interface{}) (operand, error) {
	switch value := value.(type) {
	case int:
		return whole(int64(value)), nil
	case int64:
		return whole(value), nil
	case uint64:
		return whole(int64(value)), nil
	case float64:
		return fraction(value), nil
	case string:
		if strings.Contains(value, ".") {
			found, err := strconv.ParseFloat(value, 64)
			if err == nil {
				return fraction(found), nil
			}
		} else if found, err := strconv.ParseInt(value, 10, 64); err == nil {
			return whole(found), nil
		}
		return operand{}, fmt.Errorf("%q is not a number", value)
	}
	return operand{}, fmt.Errorf("%v is not a number", value)
}

func numbers(a, b interface{}) (operand, operand, error) {
	x, err := number(a)
	if err != nil {
		return x, x, err
	}
	y, err := number(b)
	return x, y, err
}

// arithmetic is whole where both numbers are.
func arithmetic(ofWhole func(x, y int64) int64, ofFractions func(x, y float64) float64) func(a, b interface{}) (interface{}, error) {
	return func(a, b interface{}) (interface{}, error) {
		x, y, err := numbers(a, b)
		if err != nil {
			return nil, err
		}
		if x.fraction || y.fraction {
			return ofFractions(x.exact, y.exact), nil
		}
		return ofWhole(x.whole, y.whole), nil
	}
}

func divide(a, b interface{}) (interface{}, error) {
	if _, y, err := numbers(a, b); err == nil && y.exact == 0 {
		return nil, errors.New("division by zero")
	}
	return arithmetic(func(x, y int64) int64 { return x / y }, func(x, y float64) float64 { return x / y })(a, b)
}

func remainder(a, b interface{}) (int64, error) {
	x, y, err := numbers(a, b)
	if err == nil && (x.fraction || y.fraction) {
		err = errors.New("mod: whole numbers are required")
	}
	if err == nil && y.whole == 0 {
		err = errors.New("division by zero")
	}
	if err != nil {
		return 0, err
	}
	return x.whole % y.whole, nil
}

// extreme is a fraction always, so that a size in bytes comes out as 1.073741824e+09.
func extreme(choose func(x, y float64) float64) func(a, b interface{}) (float64, error) {
	return func(a, b interface{}) (float64, error) {
		x, y, err := numbers(a, b)
		return choose(x.exact, y.exact), err
	}
}

// equal takes "1", 1 and "1.0" as equal: AppCenter's parameters are all text.
func equal(a, b interface{}) bool {
	if x, y, err := numbers(a, b); err == nil {
		return x.exact == y.exact
	}
	return reflect.DeepEqual(a, b)
}

// size is what lists, maps, numbers, times and text are ordered by; text that holds no number is 0.
func size(value interface{}) float64 {
	switch value := value.(type) {
	case string:
		if found, err := strconv.ParseFloat(value, 64); err == nil {
			return found
		}
		return 0
	case time.Time:
		return float64(value.Unix())
	}
	if found, err := number(value); err == nil {
		return found.exact
	}
	switch reflected := reflect.ValueOf(value); reflected.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice:
		return float64(reflected.Len())
	}
	return 0
}

// words is true of two texts that hold no number.
func words(a, b interface{}) bool {
	for _, value := range []interface{}{a, b} {
		text, isText := value.(string)
		if _, err := strconv.ParseFloat(text, 64); !isText || err == nil {
			return false
		}
	}
	return true
}

// order is negative where a comes before b: words by their letters, all else by size.
func order(a, b interface{}) float64 {
	if words(a, b) {
		return float64(strings.Compare(a.(string), b.(string)))
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

// services in an order that does not change with that of the answers, which would render a file anew.
func services(service, protocol, name string) []*net.SRV {
	_, found, err := net.LookupSRV(service, protocol, name)
	if err != nil {
		return nil
	}
	key := func(i int) string {
		return fmt.Sprintf("%s %d %d %d", found[i].Target, found[i].Port, found[i].Priority, found[i].Weight)
	}
	sort.Slice(found, func(i, j int) bool { return key(i) < key(j) })
	return found
}

func sequence(first, last interface{}) ([]int, error) {
	from, to, err := numbers(first, last)
	if err != nil {
		return nil, err
	}
	found := []int{}
	for i := int(from.whole); i <= int(to.whole); i++ {
		found = append(found, i)
	}
	return found, nil
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

func byKeyLength(values []pair) []pair {
	found := append([]pair{}, values...)
	sort.SliceStable(found, func(i, j int) bool { return len(found[i].Key) < len(found[j].Key) })
	return found
}

// addresses of the host of which WANTED holds, sorted; none where there is no such host.
func addresses(wanted func(address net.IP) bool) func(host string) []string {
	return func(host string) []string {
		found, _ := net.LookupIP(host)
		names := []string{}
		for _, address := range found {
			if wanted(address) {
				names = append(names, address.String())
			}
		}
		sort.Strings(names)
		return names
	}
}

func isV4(address net.IP) bool {
	return address.To4() != nil
}

func isV6(address net.IP) bool {
	return address.To4() == nil
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

// functions are those of AppCenter's confd (docs/templates.md of github.com/yunify/confd), which count, compare and look up
// IPv4 addresses in its way, and those that only confd 0.16 has (github.com/kelseyhightower/confd). Neither are cget, cgets,
// cgetv and cgetvs, whose values are encrypted for a key ring that no AppCenter machine has.
func functions(known store) map[string]interface{} {
	return map[string]interface{}{
		"exists": known.exists, "get": known.get, "gets": known.gets, "getv": known.getv, "getvs": known.getvs,
		"ls":    func(directory string) []string { return known.list(directory, false) },
		"lsdir": func(directory string) []string { return known.list(directory, true) },

		"base": path.Base, "dir": path.Dir, "split": strings.Split, "join": strings.Join, "contains": strings.Contains,
		"replace": strings.Replace, "trimSuffix": strings.TrimSuffix, "toUpper": strings.ToUpper,
		"toLower": strings.ToLower, "reverse": backwards, "sortByLength": byLength, "sortKVByLength": byKeyLength,
		"json": object, "jsonArray": array, "map": dictionary, "base64Decode": decoded,
		"base64Encode": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"parseBool":    strconv.ParseBool, "atoi": strconv.Atoi, "getenv": environment, "datetime": time.Now,
		"lookupIP": addresses(isV4), "lookupIPV4": addresses(isV4), "lookupIPV6": addresses(isV6), "lookupSRV": services,
		"fileExists": func(name string) bool {
			_, err := os.Stat(name)
			return err == nil
		},

		"add": arithmetic(func(x, y int64) int64 { return x + y }, func(x, y float64) float64 { return x + y }),
		"sub": arithmetic(func(x, y int64) int64 { return x - y }, func(x, y float64) float64 { return x - y }),
		"mul": arithmetic(func(x, y int64) int64 { return x * y }, func(x, y float64) float64 { return x * y }),
		"div": divide, "mod": remainder, "max": extreme(math.Max), "min": extreme(math.Min), "seq": sequence,
		"eq": equal, "ne": func(a, b interface{}) bool { return !equal(a, b) },
		"lt": func(a, b interface{}) bool { return order(a, b) < 0 },
		"le": func(a, b interface{}) bool { return order(a, b) <= 0 },
		"gt": func(a, b interface{}) bool { return order(a, b) > 0 },
		"ge": func(a, b interface{}) bool { return order(a, b) >= 0 },

		"filter": filter, "toJson": toJSON, "toYaml": toYAML,
	}
}
