package deployments

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFunctions(t *testing.T) {
	s := &scope{template: &template{Variables: map[string]any{"list": []any{"a", "b"}}}, variables: map[string]any{}, asked: map[string]bool{},
		parameters: map[string]any{"n": int64(3), "o": map[string]any{"Key": []any{int64(1)}}},
		group:      map[string]any{"name": "g", "location": "local"}, sub: map[string]any{"subscriptionId": "s"}, copyIndex: 2}
	for text, want := range map[string]any{
		"[concat('a', 'it''s', 1)]": "ait's1", "[concat(variables('list'), createArray('c'))]": []any{"a", "b", "c"},
		"[toLower('AbC')]": "abc", "[toUpper('a')]": "A", "[trim(' a ')]": "a", "[replace('aXa', 'X', '-')]": "a-a",
		"[substring('abcdef', 1, 3)]": "bcd", "[substring('abc', 1)]": "bc", "[split('a,b', ',')]": []any{"a", "b"},
		"[join(variables('LIST'), '+')]": "a+b", "[format('{0}-{1}{{}}', 'x', 7)]": "x-7{}", "[padLeft(7, 3, '0')]": "007",
		"[startsWith('abc', 'A')]": true, "[endsWith('abc', 'x')]": false, "[indexOf('abc', 'c')]": int64(2),
		"[length('äb')]": int64(2), "[length(variables('list'))]": int64(2), "[empty('')]": true, "[contains('abc', 'b')]": true,
		"[contains(parameters('o'), 'key')]": true, "[parameters('O').key[0]]": int64(1), "[variables('list')[1]]": "b",
		"[add(parameters('n'), mul(2, -3))]": int64(-3), "[div(7, 2)]": int64(3), "[mod(7, 2)]": int64(1), "[int('12')]": int64(12),
		"[if(equals(1, 2), div(1, 0), 'no')]": "no", "[or(true(), bool('x'))]": true, "[and(false(), div(1, 0))]": false, "[not(true())]": false,
		"[less(1, 2)]": true, "[coalesce(null(), 'x')]": "x", "[first('abc')]": "a", "[last(variables('list'))]": "b",
		"[json('{\"a\": [1, 2.5]}').a]": []any{int64(1), 2.5}, "[string(createArray(1))]": "[1]", "[base64('hi')]": "aGk=",
		"[base64ToString('aGk=')]": "hi", "[union(createObject('a', 1), createObject('a', 2))]": map[string]any{"a": int64(2)},
		"[copyIndex(1)]": int64(3), "[resourceGroup().location]": "local",
		"[resourceId('A.B/c/d', 'x', 'y')]":                  "/subscriptions/s/resourceGroups/g/providers/A.B/c/x/d/y",
		"[resourceId('other', 'A.B/c', 'x')]":                "/subscriptions/s/resourceGroups/other/providers/A.B/c/x",
		"[subscriptionResourceId('A.B/c', 'x')]":             "/subscriptions/s/providers/A.B/c/x",
		"[subscriptionResourceId('t', 'A.B/c', 'x')]":        "/subscriptions/t/providers/A.B/c/x",
		"[extensionResourceId('/x/y', 'A.B/c/d', 'm', 'n')]": "/x/y/providers/A.B/c/m/d/n",
		"[subscriptionResourceId('A.B/c', 'x', 'y')]":        nil, "[extensionResourceId('/x', 'A.B/c', 'x', 'y')]": nil, "[subscriptionResourceId('t', 'u')]": nil,
		"[length(uniqueString('a', 'b'))]":             int64(13),
		"[equals(uniqueString('a'), uniqueString(1))]": nil, // an error
		"[div(1, 0)]": nil, "[substring('abc', 2, 5)]": nil, "[copyIndex": "[copyIndex", "[[x]": "[x]", "plain": "plain",
		"[variables('none')]": nil, "[if(1, 2, 3)]": nil, "[format('{3}', 1)]": nil, "[substring('abc', -1)]": nil,
	} {
		got, err := s.text(text)
		if (err != nil) != (want == nil) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if diff := cmp.Diff(want, got); diff != "" && want != nil {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestWhatIsNearlyJSONIsRead(t *testing.T) {
	for text, want := range map[string]string{
		`{a: 1, $b: [true, null,], /* c: 2, */ "d": "// no, {x: 1,}"}`: `{"a":1,"$b":[true,null],"d":"// no, {x: 1,}"}`,
		"{\"lines\": \"one\n\ttwo\", // three\n}":                      `{"lines":"one\n\ttwo"}`,
		`{"escaped": "a\"b\\", x /* y */ : {}}`:                        `{"escaped":"a\"b\\","x":{}}`,
		`[1.50, -2, 12345678901234567890]`:                             `[1.50,-2,12345678901234567890]`,
	} {
		var v any
		if err := decode([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var wanted any
		if err := decode([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, v); diff != "" {
			t.Errorf("%s became %s: %s", text, got, diff)
		}
	}
	for _, text := range []string{`{`, `{"a": }`, `/* open`, `{"open`, `{a b: 1}`, `,`, ``} {
		var v any
		if err := decode([]byte(text), &v); err == nil {
			t.Errorf("%s was read as %v", text, v)
		}
	}
}

// FuzzDecode: whatever is sent, cleaning it ends and changes no JSON.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{a: 1,}`, `{"a": "b\\"}`, "// x", `/*`, `"`, `[1,2]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after any
		if json.Unmarshal(text, &before) != nil {
			_ = decode(text, &after)
			return
		}
		if err := json.Unmarshal(clean(text), &after); err != nil {
			t.Fatalf("%q was JSON: %v", text, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}
