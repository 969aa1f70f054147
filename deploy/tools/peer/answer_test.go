// What the API server does with the answer of a webhook, by the modules that it is made of and in the
// order of its dispatcher (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating):
//
//	arc-rocm inject -f tests/fixtures/arc/plain.pod.json -o patch >/tmp/patch.json
//	ARC_ROCM_PATCH=/tmp/patch.json go test -C deploy/tools/peer -bench .
//
// cpu-us/op is CPU time, which other programs on the machine change less than ns/op.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"syscall"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	serializerjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func Benchmark(b *testing.B) {
	pod, err := os.ReadFile("../../../tests/fixtures/arc/plain.pod.json")
	check(b, err)
	handler := injector{admission.NewDecoder(scheme.Scheme)}
	request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Object: runtime.RawExtension{Raw: pod},
	}}
	b.Run("peer's handler", func(b *testing.B) {
		measure(b, func() { handler.Handle(b.Context(), request) })
	})
	answered := handler.Handle(b.Context(), request)
	check(b, answered.Complete(request))
	b.Run("answer of peer", func(b *testing.B) { answer(b, pod, answered.Patch) })
	if path := os.Getenv("ARC_ROCM_PATCH"); path != "" {
		pretty, err := os.ReadFile(path)
		check(b, err)
		patch := &bytes.Buffer{}
		check(b, json.Compact(patch, pretty))
		b.Run("answer of arc-rocm", func(b *testing.B) { answer(b, pod, patch.Bytes()) })
	}
}

// answer takes an answer with this patch as the API server does.
func answer(b *testing.B, podJSON, patch []byte) {
	kind := admissionv1.PatchTypeJSONPatch
	review := &admissionv1.AdmissionReview{
		Response: &admissionv1.AdmissionResponse{Allowed: true, PatchType: &kind, Patch: patch},
	}
	reviews := runtime.NewScheme()
	check(b, admissionv1.AddToScheme(reviews))
	codec := serializer.NewCodecFactory(reviews).LegacyCodec(admissionv1.SchemeGroupVersion)
	body, err := runtime.Encode(codec, review)
	check(b, err)
	objects := serializerjson.NewSerializerWithOptions(
		serializerjson.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, serializerjson.SerializerOptions{},
	)
	pod := &corev1.Pod{}
	_, _, err = objects.Decode(podJSON, nil, pod)
	check(b, err)
	pod.ManagedFields = nil
	measure(b, func() {
		read := &admissionv1.AdmissionReview{}
		check(b, runtime.DecodeInto(codec, body, read))
		operations, err := jsonpatch.DecodePatch(read.Response.Patch)
		check(b, err)
		encoded, err := runtime.Encode(objects, pod)
		check(b, err)
		patched, err := operations.Apply(encoded)
		check(b, err)
		changed := &corev1.Pod{}
		_, _, err = objects.Decode(patched, nil, changed)
		check(b, err)
		if equality.Semantic.DeepEqual(pod, changed) {
			b.Fatal("the patch changes nothing")
		}
		// For the audit log, whether or not there is one.
		_, err = json.Marshal(operations)
		check(b, err)
	})
	b.ReportMetric(float64(len(patch)), "patch-bytes")
}

func measure(b *testing.B, work func()) {
	before := used(b)
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64((used(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// used is the CPU time of this process.
func used(b *testing.B) time.Duration {
	usage := syscall.Rusage{}
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
