package app

import (
	"github.com/spf13/cobra"

	"frankenetes.dev/cluster"
	"frankenetes.dev/cluster/hours"
)

// schedules are the flags that say what happens to a cluster by itself.
type schedules struct {
	snapshots cluster.Snapshots
	sleep     cluster.Sleep
	hours     hours.Hours
}

func (s *schedules) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&s.snapshots.Every.Duration, "snapshot-every", s.snapshots.Every.Duration,
		"time between two snapshots of etcd on the cluster's share; 0 takes none. Both are good from etcd's next start on")
	flags.IntVar(&s.snapshots.Keep, "snapshot-keep", s.snapshots.Keep, "how many of them are kept")
	flags.DurationVar(&s.sleep.After.Duration, "pause-after", 0,
		"pause by itself when no user has asked anything and no pod has run for so long, such as 15m; 0 is never.\nGood from etcd's next start on")
	flags.BoolVar(&s.sleep.WithPods, "pause-with-pods", false, "with --pause-after: pods that run do not keep it awake")
	flags.StringVar(&s.hours.PauseAt, "pause-at", "", "time of the day at which the local cloud pauses it, such as 22:00, by this machine's clock")
	flags.StringVar(&s.hours.ResumeAt, "resume-at", "", "time of the day at which the local cloud resumes it")
}

// take puts those that the command line has into the options of a cluster.
func (s *schedules) take(cmd *cobra.Command, up *cluster.UpOptions, local bool) error {
	given := func(one, other string) bool { return cmd.Flags().Changed(one) || cmd.Flags().Changed(other) }
	if given("snapshot-every", "snapshot-keep") {
		if err := cluster.CheckSnapshots(s.snapshots); err != nil {
			return err
		}
		up.Snapshots = &s.snapshots
	}
	if given("pause-after", "pause-with-pods") {
		if err := cluster.CheckSleep(s.sleep); err != nil {
			return err
		}
		up.Sleep = &s.sleep
	}
	if given("pause-at", "resume-at") {
		if err := cluster.CheckHours(s.hours, local); err != nil {
			return err
		}
		up.Hours = &s.hours
	}
	return nil
}
