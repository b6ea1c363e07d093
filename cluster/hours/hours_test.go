package hours

import (
	"testing"
	"time"
)

func TestWhatIsDue(t *testing.T) {
	at := func(text string) time.Time {
		got, err := time.Parse("2006-01-2 15:04", "2026-01-"+text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	both := Hours{PauseAt: "22:00", ResumeAt: "07:30"}
	for _, c := range []struct {
		hours        Hours
		earlier, now string
		want         Action
	}{
		{both, "2 21:58", "2 21:59", Nothing},
		{both, "2 21:59", "2 22:00", Pause},
		{both, "2 22:00", "2 22:01", Nothing},
		{both, "3 07:29", "3 07:31", Resume},
		{both, "2 21:59", "3 00:10", Pause},
		{both, "2 12:00", "3 08:00", Resume}, // both have passed
		{both, "2 23:59", "3 00:00", Nothing},
		{Hours{PauseAt: "22:00"}, "2 21:59", "2 22:00", Pause},
		{Hours{PauseAt: "22:00"}, "2 22:01", "3 21:00", Nothing},
		{Hours{ResumeAt: "00:00"}, "2 23:59", "3 00:00", Resume},
		{Hours{}, "2 00:00", "3 00:00", Nothing},
	} {
		if got := c.hours.Due(at(c.earlier), at(c.now)); got != c.want {
			t.Errorf("%+v, %s to %s: %q, want %q", c.hours, c.earlier, c.now, got, c.want)
		}
	}
}

func TestWhatIsNoTime(t *testing.T) {
	for _, h := range []Hours{{PauseAt: "24:00"}, {ResumeAt: "7"}, {PauseAt: "noon"}, {PauseAt: "07:00", ResumeAt: "07:00"}} {
		if h.Check() == nil {
			t.Errorf("%+v: no error", h)
		}
	}
	if err := (Hours{PauseAt: "22:00", ResumeAt: "07:30"}).Check(); err != nil {
		t.Error(err)
	}
}
