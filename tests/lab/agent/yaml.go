package main

import (
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// What YAML reads as a text without quotes, and as nothing else.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)
var reserved = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)

func scalar(value reflect.Value) (string, error) {
	switch value.Kind() {
	case reflect.Invalid:
		return "null", nil
	case reflect.String:
		text := value.String()
		if plain.MatchString(text) && !reserved.MatchString(text) {
			return text, nil
		}
		return strconv.Quote(text), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(value.Float(), 'g', -1, 64), nil
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64:
		return fmt.Sprint(value.Interface()), nil
	case reflect.Slice:
		return "[]", nil
	case reflect.Map:
		return "{}", nil
	}
	return "", fmt.Errorf("toYaml: there is no form for a %s", value.Type())
}

func bare(value interface{}) reflect.Value {
	if value, isPair := value.(pair); isPair {
		return reflect.ValueOf(map[string]string{"key": value.Key, "value": value.Value})
	}
	return reflect.ValueOf(value)
}

// block is value as YAML; lines after the first begin with indent.
func block(value reflect.Value, indent string) (string, error) {
	if (value.Kind() != reflect.Slice && value.Kind() != reflect.Map) || value.Len() == 0 {
		text, err := scalar(value)
		return text + "\n", err
	}
	lines := []string{}
	if value.Kind() == reflect.Slice {
		for i := 0; i < value.Len(); i++ {
			text, err := block(bare(value.Index(i).Interface()), indent+"  ")
			if err != nil {
				return "", err
			}
			lines = append(lines, "- "+text)
		}
		return strings.Join(lines, indent), nil
	}
	keys := value.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return fmt.Sprint(keys[i]) < fmt.Sprint(keys[j]) })
	for _, key := range keys {
		name, err := scalar(key)
		if err != nil {
			return "", err
		}
		child := bare(value.MapIndex(key).Interface())
		before, inner := " ", indent+"  "
		switch {
		case child.Kind() == reflect.Map && child.Len() > 0:
			before = "\n" + inner
		case child.Kind() == reflect.Slice && child.Len() > 0:
			before, inner = "\n"+indent, indent
		}
		text, err := block(child, inner)
		if err != nil {
			return "", err
		}
		lines = append(lines, name+":"+before+text)
	}
	return strings.Join(lines, indent), nil
}

// toYAML has the keys of maps sorted, as AppCenter's confd has, so that the same value renders to the same file.
func toYAML(value interface{}) (string, error) {
	return block(bare(value), "")
}
