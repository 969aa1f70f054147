{{- define "arc-rocm.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Of selectors, which can never change: without commonLabels. */ -}}
{{- define "arc-rocm.selectorLabels" -}}
app.kubernetes.io/instance: {{ include "arc-rocm.fullname" . | quote }}
app.kubernetes.io/name: arc-rocm
{{- end -}}

{{- /*
The metadata of an object: ROOT, and optionally `suffix` of its name, `clusterScoped`, `labels` and
`annotations` of its own, which win over the common ones.
*/ -}}
{{- define "arc-rocm.metadata" -}}
{{- $root := .root -}}
name: {{ print (include "arc-rocm.fullname" $root) (.suffix | default "") | quote }}
{{- if not .clusterScoped }}
namespace: {{ $root.Release.Namespace | quote }}
{{- end }}
{{ include "arc-rocm.labelsAndAnnotations" . }}
{{- end -}}

{{- define "arc-rocm.labelsAndAnnotations" -}}
{{- $labels := merge dict (include "arc-rocm.selectorLabels" .root | fromYaml) (.labels | default dict) (.root.Values.commonLabels | default dict) -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with merge dict (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "arc-rocm.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- $digest := .Values.image.digest -}}
{{- printf "%s:%s%s" .Values.image.repository $tag (ternary (print "@" $digest) "" (not (empty $digest))) -}}
{{- end -}}

{{- /* The features that call the API server, each with its permissions. */ -}}
{{- define "arc-rocm.selfManaged" -}}
{{- if eq .Values.certificates.mode "SelfManaged" }}true{{ end -}}
{{- end -}}
{{- define "arc-rocm.readsRegistration" -}}
{{- if or (include "arc-rocm.selfManaged" .) .Values.webhook.readinessCheck }}true{{ end -}}
{{- end -}}
{{- define "arc-rocm.callsApiServer" -}}
{{- if or (include "arc-rocm.readsRegistration" .) .Values.runnerProfiles.watch .Values.events.enabled }}true{{ end -}}
{{- end -}}

{{- /*
objectSelector: runner pods, which ARC's controller labels, without the opt-out label. An outage of the
webhook affects no other pod.
namespaceSelector: the webhook's own pods and kube-system never wait for the webhook.
*/ -}}
{{- define "arc-rocm.selectors" -}}
objectSelector:
  matchLabels:
    actions-ephemeral-runner: "True"
  matchExpressions:
    - key: arc-rocm.dev/inject
      operator: NotIn
      values: ["false"]
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- concat (list .Release.Namespace "kube-system") .Values.webhook.excludedNamespaces | toYaml | nindent 8 }}
{{- end -}}

{{- /* Every field is optional in the expression, because an error would reject the pod. */ -}}
{{- define "arc-rocm.ownedByRunner" -}}
- name: owned-by-an-ephemeral-runner
  expression: >-
    object.metadata.?ownerReferences.orValue([]).exists(owner,
    owner.?kind.orValue('') == 'EphemeralRunner' &&
    owner.?apiVersion.orValue('').startsWith('actions.github.com/') &&
    owner.?controller.orValue(false))
{{- end -}}

{{- /*
The metadata of a registration. AKS does not rewrite the namespaceSelector of one with this label, which
its own webhooks have, or annotation, which most charts have.
*/ -}}
{{- define "arc-rocm.registration" -}}
{{- $enforcer := dict "admissions.enforcer/disabled" "true" }}
{{- $annotations := $enforcer }}
{{- if eq .Values.certificates.mode "CertManager" }}
{{- $annotations = merge (dict "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "arc-rocm.fullname" .))) $enforcer }}
{{- end }}
{{- include "arc-rocm.metadata" (dict "root" . "clusterScoped" true "annotations" $annotations "labels" $enforcer) }}
{{- end -}}

{{- define "arc-rocm.clientConfig" -}}
{{- if eq .root.Values.certificates.mode "Secret" -}}
caBundle: {{ .root.Values.certificates.caBundle | b64enc }}
{{- else -}}
# No caBundle: the webhook or cert-manager sets it, and an upgrade must not remove it.
{{- end }}
service:
  name: {{ include "arc-rocm.fullname" .root | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  path: {{ .path }}
  port: 443
{{- end -}}
