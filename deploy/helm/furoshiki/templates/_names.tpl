{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Names, labels, images. "part" is a component: registry, worker, or a deployment's name. */}}

{{- define "furoshiki.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "furoshiki" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-furoshiki" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Selects the pods of one component: dict "root" . "component" NAME */}}
{{- define "furoshiki.selector" -}}
app.kubernetes.io/name: furoshiki
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "furoshiki.labels" -}}
{{ include "furoshiki.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: furoshiki
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* An image is named by digest, never by tag: dict "repository" … "digest" … */}}
{{- define "furoshiki.image" -}}
{{ printf "%s@%s" .repository .digest | quote }}
{{- end -}}

{{- define "furoshiki.registryUrl" -}}
{{- if .Values.registry.enabled -}}
http://{{ include "furoshiki.fullname" . }}-registry.{{ .Release.Namespace }}.svc:8800
{{- else -}}
{{ .Values.serving.registryUrl }}
{{- end -}}
{{- end -}}

{{/* Where the worker makes deployments, if it may. */}}
{{- define "furoshiki.deploymentsNamespace" -}}
{{ .Values.worker.deploymentsNamespace | default .Release.Namespace }}
{{- end -}}
