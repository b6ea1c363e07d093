package arm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
)

// numbered is a provider whose list has so many names, in pages of two.
func numbered(count int) func(*armtest.Cloud) {
	return func(c *armtest.Cloud) {
		c.ARM.Handle(http.MethodGet, "/subscriptions/{sub}/providers/Numbered.Provider/things", "",
			func(_ context.Context, r *arm.Request) (*arm.Response, error) {
				var all []string
				for i := count; i > 0; i-- {
					all = append(all, fmt.Sprintf("n%d", i))
				}
				page, err := arm.Page(r, 2, all, func(s string) string { return s })
				if err != nil {
					return nil, err
				}
				return &arm.Response{Status: http.StatusOK, Body: page}, nil
			})
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	for _, test := range []struct {
		count int
		query string
		want  [][]string
	}{
		{0, "", [][]string{{}}},
		{2, "", [][]string{{"n1", "n2"}}},
		{3, "", [][]string{{"n1", "n2"}, {"n3"}}},
		{3, "&$top=1", [][]string{{"n1"}, {"n2"}, {"n3"}}},
		{3, "&$TOP=9", [][]string{{"n1", "n2"}, {"n3"}}},
	} {
		t.Run(fmt.Sprint(test.count, test.query), func(t *testing.T) {
			c := armtest.Start(t, numbered(test.count))
			token := c.OwnerToken(t)
			var got [][]string
			next := c.URL + base + "//providers/Numbered.Provider/things?api-version=2021-04-01" + test.query
			for next != "" {
				path, absolute := strings.CutPrefix(next, c.URL)
				if !absolute {
					t.Fatalf("the link %s is not absolute", next)
				}
				var page struct {
					Value    []string
					NextLink string
				}
				answer := c.Do(t, token, http.MethodGet, path, "")
				if err := json.Unmarshal([]byte(answer.Body), &page); err != nil {
					t.Fatalf("%d %s: %v", answer.Status, answer.Body, err)
				}
				got, next = append(got, page.Value), page.NextLink
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPagesThatCannotBe(t *testing.T) {
	c := armtest.Start(t, numbered(3))
	for query, code := range map[string]string{"$top=0": "InvalidTopParameter", "$top=x": "InvalidTopParameter", "$skipToken=**": "InvalidSkipToken"} {
		answer := c.Do(t, c.OwnerToken(t), http.MethodGet, base+"/providers/Numbered.Provider/things?api-version=2021-04-01&"+query, "")
		if answer.Status != http.StatusBadRequest || answer.Code() != code {
			t.Errorf("%s: %d %s", query, answer.Status, answer.Body)
		}
	}
}
