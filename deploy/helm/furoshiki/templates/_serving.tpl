{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Parts of a model server's pod. Arguments: dict "root" . "name" NAME "given" (the deployment, with the defaults). */}}

{{- define "furoshiki.servingEnv" -}}
{{- $root := .root }}{{- $d := .given }}
BENTOML_DO_NOT_TRACK: "True"
BENTOML_HOME: /var/lib/furoshiki/bentoml
BENTOML_HOST: 0.0.0.0
BENTOML_PORT: "3000"
FUROSHIKI_AUTH__MODE: {{ $d.auth | quote }}
FUROSHIKI_HOME: /var/lib/furoshiki/home
FUROSHIKI_HTTP__WORKERS: {{ $d.workers | quote }}
FUROSHIKI_LOG__STYLE: json
FUROSHIKI_METRICS__OPEN: {{ $root.Values.serving.metricsOpen | quote }}
FUROSHIKI_SOURCE: {{ $d.source | quote }}
FUROSHIKI_TRUST__REGISTRY: {{ $root.Values.serving.trust.registry | quote }}
HOME: /tmp
{{- with include "furoshiki.registryUrl" $root }}
FUROSHIKI_REGISTRY__URL: {{ . | quote }}
{{- end }}
{{- if $root.Values.serving.keySecret }}
FUROSHIKI_REGISTRY__API_KEY_FILE: /run/secrets/furoshiki-service/key
{{- end }}
{{- if $root.Values.serving.trust.configMap }}
FUROSHIKI_TRUST__DIR: /etc/furoshiki/trust
{{- end }}
{{- with $root.Values.redis.url }}
FUROSHIKI_REDIS__URL: {{ . | quote }}
{{- end }}
{{- if $d.grpc }}
FUROSHIKI_GRPC__HOST: 0.0.0.0
FUROSHIKI_GRPC__PORT: "3001"
{{- end }}
{{ include "furoshiki.vaultEnv" $root }}
{{- end -}}

{{- define "furoshiki.servingResources" -}}
{{- $resources := deepCopy .given.resources }}
{{- if gt (int .given.gpu.count) 0 }}
{{- $_ := set $resources "limits" (merge (dict .given.gpu.resource (.given.gpu.count | toString)) ($resources.limits | default dict)) }}
{{- end }}
{{- toYaml $resources }}
{{- end -}}

{{- define "furoshiki.servingTolerations" -}}
{{- $tolerations := .given.tolerations }}
{{- if gt (int .given.gpu.count) 0 }}
{{- $tolerations = append $tolerations (dict "key" .given.gpu.resource "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- if .given.spot }}
{{- with .root.Values.serving.spot }}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Equal" "value" .value "effect" "NoSchedule") }}
{{- end }}
{{- end }}
{{- if $tolerations }}{{ toYaml $tolerations }}{{ end }}
{{- end -}}

{{/* Spot nodes are preferred, not required: a model is served somewhere when there are none. */}}
{{- define "furoshiki.servingAffinity" -}}
{{- if .given.affinity }}
{{- toYaml .given.affinity }}
{{- else if .given.spot }}
{{- with .root.Values.serving.spot -}}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      preference:
        matchExpressions:
          - key: {{ .key }}
            operator: In
            values: [{{ .value | quote }}]
{{- end }}
{{- end }}
{{- end -}}

{{- define "furoshiki.servingVolumes" -}}
{{- $root := .root }}{{- $d := .given }}
- name: home
  emptyDir:
    sizeLimit: {{ $d.scratchSize }}
- name: tmp
  emptyDir:
    sizeLimit: {{ $d.scratchSize }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ $d.sharedMemory }}
{{- with $root.Values.serving.keySecret }}
- name: service-key
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with $root.Values.serving.trust.configMap }}
- name: trust
  configMap:
    name: {{ . }}
{{- end }}
{{- include "furoshiki.secretVolumes" $root }}
{{- end -}}

{{- define "furoshiki.servingMounts" -}}
{{- $root := .root }}
- name: home
  mountPath: /var/lib/furoshiki
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- if $root.Values.serving.keySecret }}
- name: service-key
  mountPath: /run/secrets/furoshiki-service
  readOnly: true
{{- end }}
{{- if $root.Values.serving.trust.configMap }}
- name: trust
  mountPath: /etc/furoshiki/trust
  readOnly: true
{{- end }}
{{- include "furoshiki.secretMounts" $root }}
{{- end -}}
