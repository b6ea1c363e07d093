package arm_test

import (
	"strings"
	"testing"

	"frankenetes.dev/embedded/arm/armtest"
)

// FuzzPath: whatever is asked for, however it is spelled, the server answers,
// and nobody is let into a resource group without a role there. The fuzzer
// knows by {me} who asks.
func FuzzPath(f *testing.F) {
	e := newEstate(f)
	for _, seed := range pathSeeds() {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		target, body = strings.ReplaceAll(target, "{me}", e.me.ObjectID), strings.ReplaceAll(body, "{me}", e.me.ObjectID)
		for _, as := range []armtest.Token{"", e.nobodyToken, e.myToken} {
			e.restore(t)
			status, answer, r := e.ask(as, method, target, body)
			if r == nil {
				return
			}
			if status >= 500 {
				t.Fatalf("%d %s", status, answer)
			}
			e.judge(t, as, r, status, answer)
			e.unharmed(t)
		}
	})
}

// pathSeeds are requests, method, target and body, as clients make them, and
// as those do who try whether something is left open.
func pathSeeds() [][3]string {
	const assignments = "/providers/Microsoft.Authorization/roleAssignments"
	const assignment = assignments + "/44444444-4444-4444-8444-444444444444"
	const owner = `{"properties":{"roleDefinitionId":"/x/8e3af657-a8ff-443c-a75c-2fe8c4bcb635","principalId":"{me}"}}`
	seeds := [][3]string{
		{"GET", "/metadata/endpoints?api-version=2022-09-01", ""}, {"GET", "/subscriptions" + version, ""}, {"GET", "/tenants" + version, ""},
		{"GET", base + version, ""}, {"GET", base + "/resources" + version + "&$filter=resourceGroup%20eq%20'theirs-k'", ""},
		{"GET", base + "/resourcegroups" + version + "&$top=1", ""}, {"GET", base + "/providers/Test.Provider/things" + version, ""},
		{"POST", base + "/providers/Microsoft.ContainerInstance/register" + version, ""},
		{"GET", base + "/providers/Test.Provider/locations/local/operations/44444444-4444-4444-8444-444444444444" + version + "&t=eyJtIjoiUFVUIn0", ""},
		{"GET", base + "/operationresults/44444444-4444-4444-8444-444444444444" + version, ""},
		{"PUT", base + assignment + version, owner}, {"GET", base + assignments + version + "&$filter=atScope()", ""},
		{"PUT", base + "/resourceGroups/new" + version, groupBody}, {"OPTIONS", "*", ""}, {"CONNECT", "cloud:443", ""},
		{"GET", "https://other" + theirsID + version, ""},
	}
	for _, in := range []string{mineID, theirsID} {
		for _, request := range [][3]string{
			{"GET", "", ""}, {"HEAD", "", ""}, {"PUT", "", groupBody}, {"PATCH", "", `{"tags":{"a":"b"}}`}, {"DELETE", "", ""}, {"GET", "/resources", ""},
			{"POST", "/exportTemplate", "{}"}, {"GET", "/providers/Test.Provider/things", ""}, {"GET", thing, ""}, {"PUT", thing, "{}"}, {"DELETE", thing, ""},
			{"POST", thing + "/start", ""}, {"GET", thing + "/containers/c/logs", ""}, {"POST", thing + "/containers/c/exec", "{}"},
			{"GET", "/providers/Microsoft.ManagedIdentity/userAssignedIdentities", ""},
			{"PUT", "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one", groupBody},
			{"GET", assignments, ""}, {"PUT", assignment, owner}, {"DELETE", assignment, ""}, {"PUT", thing + assignment, owner},
		} {
			seeds = append(seeds, [3]string{request[0], in + request[1] + version, request[2]})
		}
	}
	for _, spelled := range []string{
		strings.ToUpper(theirsID), "/" + theirsID, strings.ReplaceAll(theirsID, "/", "//"), strings.ReplaceAll(theirsID, "/", "%2f"), strings.ReplaceAll(theirsID, "e", "%65"),
		mineID + "/../" + theirs, mineID + "/%2e%2e/" + theirs, mineID + "%2f..%2f" + theirs, mineID + "%2f%2e%2e%2f" + theirs, mineID + "/.%2e/" + theirs,
		mineID + "\\..\\" + theirs, mineID + "%5c..%5c" + theirs, mineID + "/%252e%252e/" + theirs, mineID + "/./../" + theirs, mineID + ";/../" + theirs,
		theirsID + "%00", theirsID + "/.", theirsID + "%20", theirsID + "%2f", base + "/resourceGroups/theirs-\u212a", base + "/resourceGroup\u017f/" + theirs,
		"/subscription%c5%bf/" + armtest.Subscription + "/resourceGroups/" + theirs, mineID + "/providers/x/y/../../../../" + theirs,
	} {
		for _, rest := range []string{"", thing, assignments, "/resources"} {
			seeds = append(seeds, [3]string{"GET", spelled + rest + version, ""}, [3]string{"PUT", spelled + rest + version, groupBody}, [3]string{"HEAD", spelled + rest + version, ""})
		}
	}
	return seeds
}
