{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What registry, worker and migrations share. Environment is written into each pod, not into a ConfigMap: the migrations run
     before anything else of the release exists. */}}

{{- define "furoshiki.registryEnv" -}}
FUROSHIKI_HOME: /var/lib/furoshiki/home
FUROSHIKI_LOG__STYLE: json
HOME: /tmp
{{- with .Values.database }}
{{- if .url }}
FUROSHIKI_DATABASE__URL: {{ .url | quote }}
{{- end }}
{{- if .ownerUrl }}
FUROSHIKI_DATABASE__OWNER_URL: {{ .ownerUrl | quote }}
{{- end }}
{{- end }}
{{- with .Values.store }}
FUROSHIKI_STORE__ENCRYPTION: {{ .encryption | quote }}
{{- if .url }}
FUROSHIKI_STORE__URL: {{ .url | quote }}
FUROSHIKI_STORE__S3__REGION: {{ .region | quote }}
{{- end }}
{{- if .endpoint }}
FUROSHIKI_STORE__S3__ENDPOINT: {{ .endpoint | quote }}
{{- end }}
{{- if .accessKey }}
FUROSHIKI_STORE__S3__ACCESS_KEY: {{ .accessKey | quote }}
FUROSHIKI_STORE__S3__SECRET_KEY: {{ .secretKey | quote }}
{{- end }}
{{- end }}
{{- with .Values.redis.url }}
FUROSHIKI_REDIS__URL: {{ . | quote }}
{{- end }}
FUROSHIKI_KEYS__PROVIDER: {{ .Values.keys.provider | quote }}
FUROSHIKI_STORE__KEYS: {{ .Values.keys.provider | quote }}
{{ include "furoshiki.vaultEnv" . }}
{{- end -}}

{{- define "furoshiki.registryMounts" -}}
- name: home
  mountPath: /var/lib/furoshiki
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- include "furoshiki.secretMounts" . }}
{{- end -}}

{{/* dict "root" . "home" BOOL: whether the pod mounts the installation's home. */}}
{{- define "furoshiki.registryVolumes" -}}
- name: home
{{- if and .home .root.Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .root.Values.persistence.existingClaim | default (printf "%s-home" (include "furoshiki.fullname" .root)) }}
{{- else }}
  emptyDir: {}
{{- end }}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: 2Gi
{{- include "furoshiki.secretVolumes" .root }}
{{- end -}}

{{- define "furoshiki.registryContainer" -}}
name: registry
image: {{ include "furoshiki.image" .Values.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve]
env:
  {{- $env := include "furoshiki.registryEnv" . | fromYaml }}
  {{- $own := dict "FUROSHIKI_HTTP__HOST" "0.0.0.0" "FUROSHIKI_HTTP__PORT" "8800" }}
  {{- include "furoshiki.env" (merge (deepCopy .Values.registry.env) $own $env) | nindent 2 }}
ports:
  - name: http
    containerPort: 8800
startupProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
lifecycle:
  {{- include "furoshiki.lifecycle" . | nindent 2 }}
resources:
  {{- toYaml .Values.registry.resources | nindent 2 }}
securityContext:
  {{- include "furoshiki.containerSecurity" . | nindent 2 }}
volumeMounts:
  {{- include "furoshiki.registryMounts" . | nindent 2 }}
{{- end -}}

{{- define "furoshiki.workerContainer" -}}
name: worker
image: {{ include "furoshiki.image" .Values.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [worker]
env:
  {{- $env := include "furoshiki.registryEnv" . | fromYaml }}
  {{- $own := dict "FUROSHIKI_WORKER__SLOTS" .Values.worker.slots "FUROSHIKI_WORKER__DRAIN_SECONDS" "20" "FUROSHIKI_WORKER__METRICS_HOST" "0.0.0.0" "FUROSHIKI_WORKER__METRICS_PORT" "9100" "FUROSHIKI_DEPLOYMENTS__REGISTRY_URL" (include "furoshiki.registryUrl" .) }}
  {{- if .Values.worker.manageDeployments }}
  {{- $_ := set $own "FUROSHIKI_KUBERNETES__NAMESPACE" (include "furoshiki.deploymentsNamespace" .) }}
  {{- if .Values.worker.deploymentValues }}
  {{- $_ := set $own "FUROSHIKI_KUBERNETES__VALUES" "/etc/furoshiki/deployments/values.yaml" }}
  {{- end }}
  {{- end }}
  {{- include "furoshiki.env" (merge (deepCopy .Values.worker.env) $own $env) | nindent 2 }}
ports:
  - name: metrics
    containerPort: 9100
startupProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 30
  timeoutSeconds: 10
resources:
  {{- toYaml .Values.worker.resources | nindent 2 }}
securityContext:
  {{- include "furoshiki.containerSecurity" . | nindent 2 }}
volumeMounts:
  {{- include "furoshiki.registryMounts" . | nindent 2 }}
  {{- if and .Values.worker.manageDeployments .Values.worker.deploymentValues }}
  - name: deployment-values
    mountPath: /etc/furoshiki/deployments
    readOnly: true
  {{- end }}
{{- end -}}
