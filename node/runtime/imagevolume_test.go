package runtime

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestTheVolumeThatIsMountedAtAPath(t *testing.T) {
	mounts := func(at ...string) []v1.VolumeMount {
		var all []v1.VolumeMount
		for _, path := range at {
			all = append(all, v1.VolumeMount{Name: "volume at " + path, MountPath: path})
		}
		return all
	}
	pod := podOf(v1.Container{Name: "web", VolumeMounts: mounts("/a", "/b/", "c/d")}, v1.Container{Name: "other", VolumeMounts: mounts("/x")})
	pod.Spec.EphemeralContainers = []v1.EphemeralContainer{{EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: "look", VolumeMounts: mounts("/look")}}}
	for _, test := range []struct{ container, at, want string }{
		{"web", "/a", "volume at /a"}, {"web", "/b/", "volume at /b/"}, {"web", "/c/d", "volume at c/d"}, {"web", "/x", ""},
		{"other", "/x", "volume at /x"}, {"look", "/look", "volume at /look"}, {"nobody", "/a", ""},
	} {
		if got := mountedAt(pod, test.container, test.at); got != test.want {
			t.Errorf("%s has %q at %s, want %q", test.container, got, test.at, test.want)
		}
	}
}
