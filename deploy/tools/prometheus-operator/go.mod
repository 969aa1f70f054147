// Prometheus' operator, for its CRDs alone: no program of ours or of its is built from it, so
// `go mod tidy` would take the requirement away.
module arc-rocm.dev/tools/prometheus-operator

go 1.26.8

require github.com/prometheus-operator/prometheus-operator v0.85.0
