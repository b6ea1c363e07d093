package groups

import (
	"fmt"
	"slices"
	"strings"
)

// mark is in every secret of the bodies that the fuzzer begins with. It is
// base64 where it has to be.
const mark = "s3cr3t00"

// bodies are as az, the SDK, the virtual kubelet and Microsoft's samples write them.
func bodies() []string {
	all := []string{valid, pair, body("", ""),
		// az container create, with all that it can do.
		`{"location":"local","identity":{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i":{}}},
		"tags":{},"properties":{"containers":[{"name":"web","properties":{"image":"frankenetes.azurecr.io/hyperkube:1","command":["/hyperkube","etcd"],
		"ports":[{"protocol":"TCP","port":2379}],"environmentVariables":[{"name":"A","value":"b"},{"name":"S","secureValue":"` + mark + `"}],
		"resources":{"requests":{"memoryInGB":1.5,"cpu":1.0}},"volumeMounts":[{"name":"azurefile","mountPath":"/mnt"},{"name":"secrets","mountPath":"/s"},
		{"name":"gitrepo","mountPath":"/g"}]}}],"imageRegistryCredentials":[{"server":"frankenetes.azurecr.io","username":"u","password":"` + mark + `"}],
		"restartPolicy":"Always","ipAddress":{"ports":[{"protocol":"TCP","port":2379}],"type":"Public","dnsNameLabel":"etcd-label"},"osType":"Linux",
		"volumes":[{"name":"azurefile","azureFile":{"shareName":"share","storageAccountName":"account","storageAccountKey":"` + mark + `"}},
		{"name":"secrets","secret":{"key":"` + mark + `"}},
		{"name":"gitrepo","gitRepo":{"directory":".","repository":"https://user:` + mark + `@example.com/x.git","revision":"main"}}],
		"diagnostics":{"logAnalytics":{"workspaceId":"w","workspaceKey":"` + mark + `","workspaceResourceId":"/` + mark + `"}}}}`,
		// The same, as something refuses it.
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"web","properties":{"image":"x","resources":{"requests":{"cpu":1,"memoryInGB":1}},
		"environmentVariables":[{"name":"S","value":"","secureValue":"` + mark + `"}]}}]}}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"web","properties":{"image":"x","resources":{"requests":{"cpu":1,"memoryInGB":1}}}}],
		"volumes":[{"name":"secrets","secret":{"key":"` + mark + `!"}}]}}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"web","properties":{"image":"x","resources":{"requests":{"cpu":1,"memoryInGB":1}}}}],
		"volumes":[{"name":"gitrepo","gitRepo":{"repository":"ssh://` + mark + `@example.com/x"}}]}}`,
	}
	for body := range samples() {
		all = append(all, body)
	}
	return all
}

// marks counts the marks in the secrets of a group.
func marks(g *Group) int {
	var secrets []string
	p := &g.Properties
	for _, c := range slices.Concat(p.Containers, p.InitContainers) {
		for _, e := range c.Properties.EnvironmentVariables {
			if e.SecureValue != nil {
				secrets = append(secrets, *e.SecureValue)
			}
		}
	}
	for _, c := range p.ImageRegistryCredentials {
		secrets = append(secrets, c.Password)
	}
	for _, volume := range p.Volumes {
		for _, value := range volume.Secret {
			secrets = append(secrets, value)
		}
		if volume.AzureFile != nil {
			secrets = append(secrets, volume.AzureFile.StorageAccountKey)
		}
		if volume.GitRepo != nil {
			secrets = append(secrets, userOf(volume.GitRepo.Repository))
		}
	}
	if d := p.Diagnostics; d != nil && d.LogAnalytics != nil {
		secrets = append(secrets, d.LogAnalytics.WorkspaceKey, d.LogAnalytics.WorkspaceResourceID)
	}
	return strings.Count(fmt.Sprint(secrets), mark)
}

// userOf returns what stands before the host of a URL: name and password.
func userOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, _ := strings.Cut(authority, "@")
	if user == authority {
		return ""
	}
	return user
}
