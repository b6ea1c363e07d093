package groups

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm"
)

func TestBodiesAreReadAsTheyAreWritten(t *testing.T) {
	type thing struct {
		Name  string            `json:"shareName"`
		Size  *decimal          `json:"memoryInGB"`
		Port  integer           `json:"port"`
		On    bool              `json:"readOnly"`
		Words []string          `json:"words,omitempty"`
		Map   map[string]string `json:"map"`
		Inner *thing            `json:"inner"`
		Other *unsupported      `json:"other"`
	}
	half := decimal(0.5)
	for body, want := range map[string]thing{
		`{}`: {},
		`{"SHARENAME":"x","memoryInGb":"0.5","Port":" 80 ","readonly":"True"}`: {Name: "x", Size: &half, Port: 80, On: true},
		`{"sharename":"first","shareName":"last"}`:                             {Name: "last"},
		`{"inner":{"shareName":"x","port":1},"Inner":{"port":2}}`:              {Inner: &thing{Port: 2}},
		`{"shareName":"x","shareName":null,"inner":null,"words":null}`:         {},
		`{"nobody":{"knows":[{"this":{}}]},"port":8e1}`:                        {Port: 80},
		`{"words":[],"map":{},"inner":{}}`:                                     {Words: []string{}, Map: map[string]string{}, Inner: &thing{}},
		`{"words":["a",null],"map":{"Key":"v","key":"w"}}`:                     {Words: []string{"a", ""}, Map: map[string]string{"Key": "v", "key": "w"}},
		`{"other":{"deep":[1,{"x":null}]},"port":7}`:                           {Other: &unsupported{}, Port: 7},
		`{"other":5}`:                       {Other: &unsupported{}},
		"\n{\"shareName\" : \"\\u00e9\"}\t": {Name: "é"},
	} {
		var got thing
		if err := decode([]byte(body), &got); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestARefusalSaysWhereAndKeepsSecrets(t *testing.T) {
	for body, want := range map[string]string{
		`{"properties":{"containers":[{},{"properties":{"ports":[{"port":"secret"}]}}]}}`:                      "Path 'properties.containers[1].properties.ports[0].port'",
		`{"Properties":{"Containers":[{"properties":{"environmentVariables":[{"secureValue":["secret"]}]}}]}}`: "The value is an array where a string is wanted. Path 'properties.containers[0].properties.environmentVariables[0].secureValue'",
		`{"properties":{"volumes":[{"secret":{"key":7}}]}}`:                                                    "a number where a string is wanted. Path 'properties.volumes[0].secret.key'",
		`{"properties":{"volumes":[{"secret":"secret"}]}}`:                                                     "a string where an object is wanted. Path 'properties.volumes[0].secret'",
		`{"properties":{"containers":{}}}`:                                                                     "an object where an array is wanted. Path 'properties.containers'",
		`null`:                                                                                                 "null where an object is wanted",
		`"text"`:                                                                                               "a string where an object is wanted",
		`{"a":}`:                                                                                               "at byte 6",
		``:                                                                                                     "unexpected end of JSON input",
		`{} {}`:                                                                                                "at byte 4",
		strings.Repeat("[", 20000):                                                                             "exceeded max depth",
	} {
		err := decode([]byte(body), &Group{})
		var refusal *arm.Error
		if !errors.As(err, &refusal) || refusal.Status != 400 || refusal.Code != "InvalidRequestContent" {
			t.Errorf("%.80s: %v", body, err)
			continue
		}
		if !strings.Contains(refusal.Message, want) || strings.Contains(refusal.Message, "secret\"") {
			t.Errorf("%.80s: %s", body, refusal.Message)
		}
	}
}
