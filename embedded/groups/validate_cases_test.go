package groups

import (
	"fmt"
	"strings"
)

// badGroup breaks one rule.
type badGroup struct {
	rule string
	code string
	// change is what of the valid group is replaced by what, in pairs.
	change []string
}

// badGroups are the rules of the contract, and a group for each that breaks it.
func badGroups() []badGroup {
	var all []badGroup
	for _, part := range [][]badGroup{
		badParts(), badContainers(), badVariables(), badResources(), badProbes(), badSecurity(), badAddresses(), badNetworks(),
		badVolumes(), badMounts(), badCredentials(), badDiagnostics(), unsupportedParts(), badShapes(),
	} {
		all = append(all, part...)
	}
	return all
}

// inWeb puts something into the container "web", inGroup into the group's properties.
func inWeb(what string) []string {
	return []string{`"image":"x","ports"`, `"image":"x",` + what + `,"ports"`}
}
func inGroup(what string) []string { return []string{`"volumes":[`, what + `,"volumes":[`} }

// volume replaces what kind of volume there is.
func volume(kind string) []string { return []string{`"emptyDir":{}`, kind} }

// many repeats a text that has the number of the repetition in it.
func many(n int, format string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i+1))
	}
	return strings.Join(all, ",")
}

func badParts() []badGroup {
	return []badGroup{
		{"a location", "LocationRequired", []string{`"location":"Lo cal",`, ``}},
		{"a location that there is", "LocationNotAvailableForResourceType", []string{`Lo cal`, `mars`}},
		{"an osType", "InvalidOsType", []string{`"osType":"linux",`, ``}},
		{"an osType that is none", "InvalidOsType", []string{`"linux"`, `"plan9"`}},
		{"a restart policy that there is", "InvalidRestartPolicy", []string{`never`, `sometimes`}},
		{"no zones", "InvalidAvailabilityZone", []string{`"tags":{}`, `"zones":["1"]`}},
		{"an identity type that there is", "InvalidIdentityType", []string{`"tags":{}`, `"identity":{"type":"mine"}`}},
		{"identities for UserAssigned", "InvalidIdentity", []string{`"tags":{}`, `"identity":{"type":"UserAssigned"}`}},
		{"identities for both types", "InvalidIdentity", []string{`"tags":{}`, `"identity":{"type":"systemassigned,userassigned","userAssignedIdentities":{}}`}},
		{"no identities for SystemAssigned", "InvalidIdentity", []string{`"tags":{}`, `"identity":{"type":"systemassigned","userAssignedIdentities":{"x":{}}}`}},
		{"no identities for None", "InvalidIdentity", []string{`"tags":{}`, `"identity":{"userAssignedIdentities":{"x":{}}}`}},
		{"the form of the publish tag", "InvalidPublishTag", []string{`"tags":{}`, `"tags":{"frankenetes-publish":"80"}`}},
		{"names of tags", "InvalidTagName", []string{`"tags":{}`, `"tags":{"":"80"}`}},
		{"the length of names of tags", "InvalidTagName", []string{`"tags":{}`, `"tags":{"` + strings.Repeat("x", 513) + `":"80"}`}},
		{"the length of values of tags", "InvalidTagValue", []string{`"tags":{}`, `"tags":{"a":"` + strings.Repeat("x", 257) + `"}`}},
		{"at most 50 tags", "TooManyTags", []string{`"tags":{}`, `"tags":{` + many(51, `"t%d":""`) + `}`}},
	}
}

func badContainers() []badGroup {
	const another = `{"name":"c%d","properties":{"image":"x","resources":{"requests":{"cpu":0.1,"memoryInGB":0.1}}}}`
	const before = `{"name":"i%d","properties":{"image":"x"}}`
	setup := func(what string) []string {
		return []string{`"name":"setup","properties":{`, `"name":"setup","properties":{` + what + `,`}
	}
	return []badGroup{
		{"a container", "MissingContainers", []string{`"containers":[`, `"containers":[],"ignored":[`}},
		{"containers that are not null", "MissingContainers", []string{`"containers":[`, `"containers":null,"ignored":[`}},
		{"at most 60 containers", "TooManyContainers", []string{`"containers":[`, `"containers":[` + many(59, another) + `,`}},
		{"at most 59 init containers", "TooManyContainers", []string{`"initContainers":[`, `"initContainers":[` + many(59, before) + `,`}},
		{"names that differ", "DuplicateContainerName", []string{`"containers":[`, `"containers":[{"name":"web","properties":{"image":"x"}},`}},
		{"names that differ from those of init containers", "DuplicateContainerName", []string{`"name":"setup"`, `"name":"web"`}},
		{"a name", "InvalidContainerName", []string{`"name":"setup",`, ``}},
		{"letters of a name", "InvalidContainerName", []string{`"name":"setup"`, `"name":"Set_up"`}},
		{"the first letter of a name", "InvalidContainerName", []string{`"name":"setup"`, `"name":"-setup"`}},
		{"the last letter of a name", "InvalidContainerName", []string{`"name":"setup"`, `"name":"setup-"`}},
		{"the length of a name", "InvalidContainerName", []string{`"name":"setup"`, `"name":"` + strings.Repeat("x", 64) + `"`}},
		{"properties", "InvalidImage", []string{`"name":"setup","properties":{"image":"x"}`, `"name":"setup"`}},
		{"an image", "InvalidImage", []string{`"name":"setup","properties":{"image":"x"`, `"name":"setup","properties":{"image":" "`}},
		{"an image that is a name", "InvalidImage", []string{`"name":"setup","properties":{"image":"x"`, `"name":"setup","properties":{"image":"x y"`}},
		{"a command of text", "InvalidCommand", inWeb(`"command":["a","\u0000"]`)},
		{"no ports of an init container", "InvalidInitContainer", setup(`"ports":[{"port":1}]`)},
		{"no resources of an init container", "InvalidInitContainer", setup(`"resources":{}`)},
		{"no liveness probe of an init container", "InvalidInitContainer", setup(`"livenessProbe":{"httpGet":{"port":80}}`)},
		{"no readiness probe of an init container", "InvalidInitContainer", setup(`"readinessProbe":{"exec":{"command":["x"]}}`)},
		{"a port from 1", "InvalidPort", []string{`"port":"80"`, `"port":"0"`}},
		{"a port to 65535", "InvalidPort", []string{`"port":"80"`, `"port":65536`}},
		{"a port", "InvalidPort", []string{`"port":"80",`, ``}},
		{"a protocol that there is", "InvalidProtocol", []string{`"tcp"`, `"sctp"`}},
	}
}

func badVariables() []badGroup {
	return []badGroup{
		{"a name of a variable", "InvalidEnvironmentVariableName", []string{`"name":"A",`, ``}},
		{"letters of a variable's name", "InvalidEnvironmentVariableName", []string{`"name":"A"`, `"name":"A=B"`}},
		{"the first letter of a variable's name", "InvalidEnvironmentVariableName", []string{`"name":"A"`, `"name":"_A"`}},
		{"the last letter of a variable's name", "InvalidEnvironmentVariableName", []string{`"name":"A"`, `"name":"A_"`}},
		{"the length of a variable's name", "InvalidEnvironmentVariableName", []string{`"name":"A"`, `"name":"` + strings.Repeat("A", 64) + `"`}},
		{"the variables of init containers", "InvalidEnvironmentVariableName",
			[]string{`"image":"x"}`, `"image":"x","environmentVariables":[{"name":"A-B","value":""}]}`}},
		{"a value of a variable", "InvalidEnvironmentVariable", []string{`"value":"1"`, `"ignored":1`}},
		{"one value of a variable", "InvalidEnvironmentVariable", []string{`"value":"1"`, `"value":"1","secureValue":"2"`}},
		{"a value of text", "InvalidEnvironmentVariable", []string{`"value":"1"`, `"value":"\u0000"`}},
		{"a secure value of text", "InvalidEnvironmentVariable", []string{`"value":"1"`, `"secureValue":"\u0000"`}},
	}
}

func badResources() []badGroup {
	limits := func(what string) []string { return []string{`"limits":{"cpu":1}`, `"limits":{` + what + `}`} }
	return []badGroup{
		{"resources", "ResourceRequestsNotSpecified", []string{`"resources":{"requests":{"cpu":"1.0","memoryInGb":1},`, `"ignored":{`}},
		{"requests", "ResourceRequestsNotSpecified", []string{`"requests":{"cpu":"1.0","memoryInGb":1},`, ``}},
		{"a request of CPU", "ResourceRequestsNotSpecified", []string{`"cpu":"1.0",`, ``}},
		{"a request of memory", "ResourceRequestsNotSpecified", []string{`"cpu":"1.0","memoryInGb":1`, `"cpu":"1.0"`}},
		{"memory above zero", "InvalidResourceRequests", []string{`"memoryInGb":1`, `"memoryInGb":0`}},
		{"CPU above zero", "InvalidResourceRequests", []string{`"cpu":"1.0"`, `"cpu":-1`}},
		{"at least 0.1 GB", "InvalidResourceRequests", []string{`"memoryInGb":1`, `"memoryInGb":1e-10`}},
		{"at least 0.01 cores", "InvalidResourceRequests", []string{`"cpu":"1.0"`, `"cpu":0.009`}},
		{"CPU that there is", "InvalidResourceRequests", []string{`"cpu":"1.0"`, `"cpu":1e300`}},
		{"at most 31 cores", "InvalidResourceRequests", []string{`"cpu":"1.0"`, `"cpu":32`}},
		{"at most 240 GB", "InvalidResourceRequests", []string{`"memoryInGb":1`, `"memoryInGb":241`}},
		{"a CPU limit within the group", "ContainerLimitGreaterThanContainerGroupTotalRequest", limits(`"cpu":1.5`)},
		{"a memory limit within the group", "ContainerLimitGreaterThanContainerGroupTotalRequest", limits(`"memoryInGB":1.1`)},
		{"a CPU limit above the request", "ContainerLimitLessThanRequest", limits(`"cpu":0.5`)},
		{"a memory limit above the request", "ContainerLimitLessThanRequest", limits(`"memoryInGB":0.9`)},
	}
}

func badProbes() []badGroup {
	live := func(what string) []string { return inWeb(`"livenessProbe":{` + what + `}`) }
	ready := func(what string) []string { return inWeb(`"readinessProbe":{` + what + `}`) }
	return []badGroup{
		{"a way to probe", "InvalidProbe", live(``)},
		{"one way to probe", "InvalidProbe", ready(`"exec":{"command":["a"]},"httpGet":{"port":1}`)},
		{"a probe's command", "InvalidProbe", ready(`"exec":{}`)},
		{"a probe's command of text", "InvalidProbe", live(`"exec":{"command":["a\u0000"]}`)},
		{"a probe's port from 1", "InvalidProbe", live(`"httpGet":{"port":0}`)},
		{"a probe's port to 65535", "InvalidProbe", ready(`"httpGet":{"port":65536}`)},
		{"a probe's path", "InvalidProbe", live(`"httpGet":{"port":80,"path":"/a b"}`)},
		{"a probe's scheme", "InvalidProbe", live(`"httpGet":{"port":80,"scheme":"ftp"}`)},
		{"values of a probe's headers", "InvalidProbe", live(`"httpGet":{"port":80,"httpHeaders":[{"name":"A","value":"x\r\nB: y"}]}`)},
		{"names of a probe's headers", "InvalidProbe", live(`"httpGet":{"port":80,"httpHeaders":[{"value":"x"}]}`)},
		{"a delay not below zero", "InvalidProbe", ready(`"httpGet":{"port":80},"initialDelaySeconds":-1`)},
		{"a period not below zero", "InvalidProbe", live(`"httpGet":{"port":80},"periodSeconds":-1`)},
		{"a timeout not below zero", "InvalidProbe", live(`"httpGet":{"port":80},"timeoutSeconds":-1`)},
		{"failures not below zero", "InvalidProbe", live(`"httpGet":{"port":80},"failureThreshold":-1`)},
		{"successes not below zero", "InvalidProbe", ready(`"httpGet":{"port":80},"successThreshold":-1`)},
		{"one success for liveness", "InvalidProbe", live(`"httpGet":{"port":80},"successThreshold":2`)},
	}
}

func badSecurity() []badGroup {
	security := func(what string) []string { return inWeb(`"securityContext":{` + what + `}`) }
	return []badGroup{
		{"no privileges", "PrivilegedContainerNotAllowed", security(`"privileged":true`)},
		{"no privileges of an init container", "PrivilegedContainerNotAllowed",
			[]string{`"image":"x"}`, `"image":"x","securityContext":{"privileged":true}}`}},
		{"capabilities that are allowed", "CapabilityNotAllowed", security(`"capabilities":{"add":["NET_ADMIN"]}`)},
		{"capabilities that are allowed, by their long names", "CapabilityNotAllowed", security(`"capabilities":{"add":["CAP_SYS_ADMIN"]}`)},
		{"not all capabilities", "CapabilityNotAllowed", security(`"capabilities":{"add":["ALL"]}`)},
		{"a user not below zero", "InvalidSecurityContext", security(`"runAsUser":-1`)},
		{"a group not below zero", "InvalidSecurityContext", security(`"runAsUser":1,"runAsGroup":-1`)},
		{"a user with a group", "InvalidSecurityContext", security(`"runAsGroup":5`)},
	}
}

// unsupportedParts are what ACI has and this cloud has not.
func unsupportedParts() []badGroup {
	return []badGroup{
		{"no Windows", "NotSupported", []string{`"linux"`, `"Windows"`}},
		{"no requests of GPUs", "NotSupported", []string{`"memoryInGb":1`, `"memoryInGb":1,"gpu":{"count":1,"sku":"V100"}`}},
		{"no limits of GPUs", "NotSupported", []string{`"limits":{"cpu":1`, `"limits":{"cpu":1,"gpu":{"count":1,"sku":"V100"}`}},
		{"no seccomp profiles", "NotSupported", inWeb(`"securityContext":{"seccompProfile":"e30="}`)},
		{"no configMap", "NotSupported", inWeb(`"configMap":{"keyValuePairs":{"a":"b"}}`)},
		{"no references as values", "NotSupported", []string{`"value":"1"`, `"secureValueReference":"x"`}},
		{"no references as volumes", "NotSupported", volume(`"secretReference":{}`)},
		{"no references as keys", "NotSupported", volume(`"azureFile":{"shareName":"x","storageAccountName":"y","storageAccountKeyReference":"z"}`)},
		{"no references as passwords", "NotSupported", inGroup(`"imageRegistryCredentials":[{"server":"s","username":"u","passwordReference":"x"}]`)},
		{"no references", "NotSupported", inGroup(`"secretReferences":[{"name":"x"}]`)},
		{"no networkProfile", "NotSupported", inGroup(`"networkProfile":{"id":"x"}`)},
		{"no encryptionProperties", "NotSupported", inGroup(`"encryptionProperties":{"vaultBaseUrl":"x"}`)},
		{"no containerGroupProfile", "NotSupported", inGroup(`"containerGroupProfile":{"id":"x"}`)},
		{"no standbyPoolProfile", "NotSupported", inGroup(`"standbyPoolProfile":{"id":"x"}`)},
		{"no identityAcls", "NotSupported", inGroup(`"identityAcls":{"defaultAccess":"User"}`)},
		{"no dedicated groups", "NotSupported", inGroup(`"sku":"dedicated"`)},
		{"a sku that there is", "NotSupported", inGroup(`"sku":"golden"`)},
		{"no spot groups", "NotSupported", inGroup(`"priority":"spot"`)},
		{"no extensions", "NotSupported", inGroup(`"extensions":[{"name":"x"}]`)},
		{"no confidential groups", "ConfidentialContainerGroupSkuIsNotSupported", inGroup(`"sku":"confidential"`)},
		{"no confidential properties", "ConfidentialContainerGroupSkuIsNotSupported", inGroup(`"confidentialComputeProperties":{"ccePolicy":"x"}`)},
	}
}

// badShapes are not of the model's form.
func badShapes() []badGroup {
	shape := func(rule string, change ...string) badGroup { return badGroup{rule, "InvalidRequestContent", change} }
	return []badGroup{
		shape("an object of properties", `"properties":{"osType"`, `"properties":[],"x":{"osType"`),
		shape("an array of containers", `"containers":[`, `"containers":{},"x":[`),
		shape("a text for an image", `"image":"x","ports"`, `"image":5,"ports"`),
		shape("an array for a command", inWeb(`"command":"sleep 1"`)...),
		shape("texts for a command", inWeb(`"command":["sleep",1]`)...),
		shape("a number for a port", `"port":"80"`, `"port":"eighty"`),
		shape("a whole number for a port", `"port":"80"`, `"port":80.5`),
		shape("a number of 32 bits for a port", `"port":"80"`, `"port":99999999999`),
		shape("no truth value for a port", `"port":"80"`, `"port":true`),
		shape("a number that can be told for CPU", `"cpu":"1.0"`, `"cpu":1e999`),
		shape("a number for CPU", `"cpu":"1.0"`, `"cpu":"NaN"`),
		shape("a truth value for readOnly", `"mountPath":"/scratch"`, `"mountPath":"/scratch","readOnly":1`),
		shape("an object of secrets", volume(`"secret":"x"`)...),
		shape("texts for secrets", volume(`"secret":{"a":1}`)...),
		shape("an object for emptyDir", volume(`"emptyDir":true`)...),
		shape("texts for tags", `"tags":{}`, `"tags":{"a":1}`),
		shape("an object of tags", `"tags":{}`, `"tags":[]`),
		shape("quotes of names", `"tags":{}`, `tags:{}`),
		shape("commas between members", `"tags":{},`, `"tags":{}`),
		shape("an end", `"emptyDir":{}}]}}`, `"emptyDir":{}}]}`),
		shape("an end of all", `"emptyDir":{}}]}}`, `"emptyDir":{}}]}}}`),
	}
}
