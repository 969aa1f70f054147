{{- define "arc-rocm.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "arc-rocm.labels" -}}
app.kubernetes.io/instance: {{ include "arc-rocm.fullname" . | quote }}
app.kubernetes.io/name: arc-rocm
{{- end -}}

{{- define "arc-rocm.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- $digest := .Values.image.digest -}}
{{- printf "%s:%s%s" .Values.image.repository $tag (ternary (print "@" $digest) "" (not (empty $digest))) -}}
{{- end -}}

{{- define "arc-rocm.tlsSecret" -}}
{{- .Values.certificates.secretName | default (printf "%s-tls" (include "arc-rocm.fullname" .)) -}}
{{- end -}}

{{- define "arc-rocm.profilesConfigMap" -}}
{{- .Values.existingConfigMap | default (printf "%s-profiles" (include "arc-rocm.fullname" .)) -}}
{{- end -}}

{{- define "arc-rocm.asksForCertificate" -}}
{{- with .Values.webhook.clientCA }}{{ if or .configMapName .secretName }}true{{ end }}{{ end -}}
{{- end -}}

{{- /* The features that call the API server, each with its rules. */ -}}
{{- define "arc-rocm.selfManaged" -}}
{{- if eq .Values.certificates.mode "SelfManaged" }}true{{ end -}}
{{- end -}}
{{- define "arc-rocm.readsRegistration" -}}
{{- if or (include "arc-rocm.selfManaged" .) .Values.webhook.readinessCheck }}true{{ end -}}
{{- end -}}
{{- define "arc-rocm.callsApiServer" -}}
{{- if or (include "arc-rocm.readsRegistration" .) .Values.runnerProfiles.watch .Values.events.enabled }}true{{ end -}}
{{- end -}}

{{- /* Values that exclude each other. */ -}}
{{- define "arc-rocm.validate" -}}
{{- if and .Values.webhook.url (ne .Values.certificates.mode "Secret") -}}
{{- fail "webhook.url needs certificates.mode Secret, with the caBundle of the webhook at that URL" -}}
{{- end -}}
{{- if and .Values.profiles .Values.existingConfigMap -}}
{{- fail "profiles and existingConfigMap exclude each other: set one of them" -}}
{{- end -}}
{{- if and (eq .Values.certificates.mode "Secret") (not .Values.certificates.caBundle) -}}
{{- fail "certificates.mode Secret needs certificates.caBundle: the CA certificate for the API server" -}}
{{- end -}}
{{- if and .Values.certificates.caBundle (ne .Values.certificates.mode "Secret") -}}
{{- fail "certificates.caBundle needs certificates.mode Secret: in the other modes the webhook or cert-manager sets it" -}}
{{- end -}}
{{- /* Missing: `null`, or `helm upgrade --reuse-values` from a version without it. */ -}}
{{- with .Values.webhook.clientCA -}}
{{- if and .configMapName .secretName -}}
{{- fail "webhook.clientCA.configMapName and secretName exclude each other: set one of them" -}}
{{- end -}}
{{- if and .names (not (include "arc-rocm.asksForCertificate" $)) -}}
{{- fail "webhook.clientCA.names needs webhook.clientCA.configMapName or secretName" -}}
{{- end -}}
{{- end -}}
{{- if contains "PRIVATE KEY" .Values.certificates.caBundle -}}
{{- fail "certificates.caBundle contains a private key: remove it, because the caBundle is public" -}}
{{- end -}}
{{- if and (has "Deny" .Values.finalStatePolicy.actions) (has "Warn" .Values.finalStatePolicy.actions) -}}
{{- fail "finalStatePolicy.actions: Deny and Warn exclude each other" -}}
{{- end -}}
{{- end -}}
