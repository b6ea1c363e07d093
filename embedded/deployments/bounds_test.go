package deployments

import (
	"fmt"
	"strings"
	"testing"
)

func emptyScope(variables map[string]any) *scope {
	return &scope{template: &template{Variables: variables}, variables: map[string]any{}, asked: map[string]bool{}, parameters: map[string]any{},
		group: map[string]any{"id": "/g", "name": "g", "location": "local"}, sub: map[string]any{"subscriptionId": "s"}, copyIndex: -1}
}

// doubling are variables of which each is made of the one before, many times.
func doubling(of string) map[string]any {
	variables := map[string]any{"v0": "0123456789abcdef"}
	for i := range 60 {
		v := fmt.Sprintf("variables('v%d')", i)
		variables[fmt.Sprintf("v%d", i+1)] = "[" + strings.ReplaceAll(of, "v()", v) + "]"
	}
	return variables
}

func TestExpressionsThatGrowWithoutBoundsAreRefused(t *testing.T) {
	for _, of := range []string{
		"concat(v(), v())", "createArray(v(), v())", "createObject('a', v(), 'b', v())", "union(createArray(v()), createArray(createArray(v(), v())))",
		"format('{0}{0}', v())", "replace(v(), '0', v())", "join(createArray('a', 'a', 'a'), concat(v(), v()))", "base64(v())",
		"string(createArray(v(), v()))", "concat(createArray(v()), createArray(v()))",
	} {
		s := emptyScope(doubling(of))
		if v, err := s.value([]any{"[variables('v60')]"}); err == nil && room(v, maxValue) >= 0 {
			t.Errorf("%s: there is no error", of)
		}
	}
	for _, text := range []string{
		"padLeft('a', -9223372036854775808)", "padLeft('a', 5, 'ab')", "padLeft('a', 65537)", "replace(variables('long'), 'a', variables('long'))",
		"join(split(variables('long'), 'b'), variables('long'))", "format(variables('numbers'), variables('long'))",
	} {
		s := emptyScope(map[string]any{"long": strings.Repeat("ab", 1<<16), "numbers": strings.Repeat("{0}", 1<<8)})
		if _, err := s.text("[" + text + "]"); err == nil {
			t.Errorf("%s: there is no error", text)
		}
	}
}

func TestTemplatesThatAreTooDeepAreRefused(t *testing.T) {
	deep := map[string]any{"v0": "x"}
	for i := range 200 {
		var v any = fmt.Sprintf("[variables('v%d')]", i)
		for range 100 {
			v = []any{v}
		}
		deep[fmt.Sprintf("v%d", i+1)] = v
	}
	if _, err := emptyScope(deep).text("[variables('v200')]"); err == nil {
		t.Error("200 variables, each 100 lists deep: there is no error")
	}
	for _, text := range []string{"resourceGroup()" + strings.Repeat(".a", maxExpression), strings.Repeat("concat(", 200) + strings.Repeat(")", 200)} {
		if _, err := parse(text); err == nil {
			t.Errorf("%.40s...: there is no error", text)
		}
	}
}

func TestTemplatesOfTooManyPartsAreRefused(t *testing.T) {
	one := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": "[concat('n', copyIndex())]", "copy": map[string]any{"name": "loop", "count": int64(800)}}
	child := map[string]any{"type": "d", "apiVersion": "1", "name": "x"}
	more := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": "one more"}
	fat := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": "[concat('n', copyIndex())]", "copy": map[string]any{"name": "loop", "count": int64(800)},
		"tags": map[string]any{"a": strings.Repeat("a", 1<<16)}}
	waiting := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": "x", "dependsOn": make([]any, 801)}
	for i := range waiting["dependsOn"].([]any) {
		waiting["dependsOn"].([]any)[i] = "a/b"
	}
	long := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": strings.Repeat("n", 5000)}
	for what, resources := range map[string][]any{"801 resources": {one, more}, "52 MB once copied": {fat}, "801 dependencies": {waiting}, "a long name": {long}} {
		s := emptyScope(nil)
		s.template.Resources = resources
		if err := s.template.makePlan(s); err == nil {
			t.Errorf("%s: there is no error", what)
		}
	}
	s := emptyScope(nil)
	s.template.Resources = []any{one}
	if err := s.template.makePlan(s); err != nil || len(s.template.plan) != 800 {
		t.Errorf("800 resources: %v", err)
	}
	withChild := map[string]any{"type": "A.B/c", "apiVersion": "1", "name": "n", "resources": []any{child}}
	s.template.Resources, s.template.plan = []any{withChild}, nil
	if err := s.template.makePlan(s); err != nil || len(s.template.plan) != 2 {
		t.Errorf("a resource with a child: %v", err)
	}
	many := &template{Variables: map[string]any{}}
	for i := range 257 {
		many.Variables[fmt.Sprint(i)] = "x"
	}
	if many.checkCounts() == nil {
		t.Error("257 variables: there is no error")
	}
}

func TestAPanicIsAnError(t *testing.T) {
	if err := safely(func() error { panic("a fault of ours") }); err == nil || !strings.Contains(err.Error(), "a fault of ours") {
		t.Errorf("%v", err)
	}
}
