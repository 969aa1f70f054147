package images

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Time for a run of run.sh, which takes less than two seconds.
const runTimeout = 20 * time.Second

// startRun starts run.sh as a container would, with a job or, when it is empty, without.
func startRun(t *testing.T, job string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("SKIPPED: no bash on this machine")
	}
	home := t.TempDir()
	script := filepath.Join(home, "run.sh")
	if err := os.WriteFile(script, runnerRun, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("bash", script)
	command.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "ARC_ROCM_TEST_JOB=" + job}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// A child that run.sh leaves behind keeps the pipe open.
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(runTimeout)); err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	return command, bufio.NewReader(out)
}

// until reads lines up to the one that is wanted.
func until(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("no line %q: %v", want, err)
		}
		if strings.TrimSpace(line) == want {
			return
		}
	}
}

func ended(t *testing.T, command *exec.Cmd, out *bufio.Reader) (int, string) {
	t.Helper()
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	return command.ProcessState.ExitCode(), string(text)
}

func TestAJobsExitCodeIsTheRunners(t *testing.T) {
	command, out := startRun(t, "echo \"in ${PWD##*/} $# ${ARC_ROCM_TEST_JOB-unset}\"\n(exit 7)\necho not reached")
	code, text := ended(t, command, out)
	if code != 7 || !strings.Contains(text, "in test 0 unset\n") || strings.Contains(text, "not reached") {
		t.Errorf("code %d: %s", code, text)
	}
}

func TestSIGTERMIsSIGINTForTheJob(t *testing.T) {
	command, out := startRun(t, "trap 'echo cancelled; exit 5' INT\necho started\nwhile :; do sleep 1; done")
	until(t, out, "started")
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The shell between run.sh and the job ends by the signal as well, as the runner's helper does.
	code, text := ended(t, command, out)
	if code == 0 || !strings.Contains(text, "cancelled") {
		t.Errorf("code %d: %s", code, text)
	}
}

func TestAnIdleRunnerEndsWith0(t *testing.T) {
	command, out := startRun(t, "")
	until(t, out, "Listening for Jobs")
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, text := ended(t, command, out); code != 0 {
		t.Errorf("code %d: %s", code, text)
	}
}
