package cluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "e2e-1-36": true, strings.Repeat("x", 22): true,
		"": false, "-a": false, "a-": false, "A": false, "a.b": false, "a/b": false, "..": false, "a b": false,
		strings.Repeat("x", 23): false,
	} {
		place, err := PlaceOf(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if err == nil && place.name() != name {
			t.Errorf("%q has the place %s", name, place)
		}
	}
}

// newPlace is one below a folder of all clusters that is not there yet.
func newPlace(t *testing.T) Place { return Place(filepath.Join(t.TempDir(), "clusters", "one")) }

func take(t *testing.T, place Place) *os.File {
	t.Helper()
	held, err := place.take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	return held
}

func wantTaken(t *testing.T, place Place, want bool) {
	t.Helper()
	if taken, err := place.taken(); taken != want || err != nil {
		t.Errorf("taken: %v, %v", taken, err)
	}
}

func TestAPlaceIsTakenUntilItIsClosed(t *testing.T) {
	place := newPlace(t)
	wantTaken(t, place, false)
	held := take(t, place)
	wantTaken(t, place, true)
	if again, err := place.lock(); again != nil || err != nil {
		t.Errorf("a second lock: %v, %v", again, err)
	}
	if _, err := place.take(); err == nil {
		t.Error("it was given twice")
	}
	held.Close()
	wantTaken(t, place, false)
}

func TestWhatIsLeftIsRemovedBeforeANameIsUsedAgain(t *testing.T) {
	place := newPlace(t)
	held := take(t, place)
	if err := errors.Join(os.MkdirAll(place.path("log", "pods"), 0o700), os.WriteFile(place.ready(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := place.remove(); err != nil {
		t.Fatal(err)
	}
	held.Close()
	if _, err := os.Stat(filepath.Dir(string(place))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of all clusters is there: %v", err)
	}
	take(t, place)
	if _, err := os.Stat(place.ready()); err == nil {
		t.Error("the new cluster is ready before it started")
	}
}

func TestTheLastOneRemovesTheFolderOfAll(t *testing.T) {
	one := newPlace(t)
	other := Place(filepath.Join(filepath.Dir(string(one)), "other"))
	take(t, one)
	take(t, other)
	for _, place := range []Place{one, other} {
		if err := place.remove(); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	if _, err := os.Stat(filepath.Dir(string(one))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of all clusters is there: %v", err)
	}
}

func TestALockOfAPlaceThatWasMadeAnewIsNone(t *testing.T) {
	place := newPlace(t)
	old := take(t, place)
	if err := place.remove(); err != nil {
		t.Fatal(err)
	}
	take(t, place)
	if err := place.hasLock(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyAMonitorIsSignalled(t *testing.T) {
	place := newPlace(t)
	take(t, place)
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = other.Process.Kill(), other.Wait() }()
	for _, text := range []string{"", "not a number", strconv.Itoa(other.Process.Pid)} {
		if err := os.WriteFile(place.path("pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := place.signalMonitor(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	state, err := os.ReadFile("/proc/" + strconv.Itoa(other.Process.Pid) + "/stat")
	if err != nil || strings.Contains(string(state), ") Z ") {
		t.Errorf("another process was ended: %s, %v", state, err)
	}
}

func TestTheEnvironmentOfAUserIsAShells(t *testing.T) {
	place := Place("/home/a b/it's $HOME/one")
	script := envText(place, isolated(7)) + `printf '%s|%s' "$KUBECONFIG" "$ARC_ROCM_E2E_HOST"`
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if want := place.Kubeconfig() + "|10.213.7.1"; err != nil || string(out) != want {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestNoProxyIsAsked(t *testing.T) {
	got := withoutProxies([]string{"A=http_proxy=x", "HTTPS_PROXY=http://x", "no_proxy=y", "http_proxy=", "MY_PROXY_X=z"})
	if want := []string{"A=http_proxy=x", "MY_PROXY_X=z"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTheEndOfALog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for text, want := range map[string]string{
		"": "", "one\n": "one", strings.Repeat("early\n", 5) + strings.Repeat("late\n", tailLines): strings.Repeat("\nlate", tailLines)[1:],
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tail(path); got != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
