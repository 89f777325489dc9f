{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What one schema cannot say: values that do not fit together stop the rendering with a sentence. */}}

{{- define "furoshiki.validate" -}}
{{- $v := .Values -}}
{{- if $v.registry.enabled -}}
{{- if not (and $v.image.repository $v.image.digest) -}}
{{- fail "image.repository and image.digest: not set; the registry's image is named by its digest." -}}
{{- end -}}
{{- if $v.registry.embedded -}}
{{- if or $v.database.url $v.store.url -}}
{{- fail "registry.embedded: one pod with SQLite and a folder of blobs; leave database.url and store.url empty, or set it to false." -}}
{{- end -}}
{{- if $v.worker.manageDeployments -}}
{{- fail "worker.manageDeployments: the one pod of registry.embedded has no account for it; set it to false." -}}
{{- end -}}
{{- else if not (and $v.database.url $v.store.url) -}}
{{- fail "database.url and store.url: both are needed unless registry.embedded is true." -}}
{{- end -}}
{{- $many := or (gt (int $v.registry.replicas) 1) (gt (int $v.worker.replicas) 0) -}}
{{- if and (not $v.registry.embedded) $v.persistence.enabled $many (not (has "ReadWriteMany" $v.persistence.accessModes)) (not $v.persistence.existingClaim) -}}
{{- fail "persistence.accessModes: registry and worker share their home; expected ReadWriteMany." -}}
{{- end -}}
{{- if and (not $v.registry.embedded) (not $v.persistence.enabled) (gt (int $v.registry.replicas) 1) -}}
{{- fail "persistence.enabled: several registries share the keys that sign tokens; they are in the home." -}}
{{- end -}}
{{- if and (not $v.persistence.enabled) (ne $v.keys.provider "vault") -}}
{{- fail "persistence.enabled: without it signing keys would be lost with their pod; set keys.provider=vault, or keep the home." -}}
{{- end -}}
{{- else if and $v.deployments (not $v.serving.registryUrl) -}}
{{- range $name, $given := $v.deployments -}}
{{- $d := mustMergeOverwrite (deepCopy $v.serving.defaults) $given -}}
{{- if or (ne $d.auth "jwt") (eq $d.source "registry") -}}
{{- fail (printf "serving.registryUrl: not set, and deployments.%s asks a registry; only source=bundle with auth=jwt needs none." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.keys.provider "vault") (not $v.secrets.vault.address) -}}
{{- fail "secrets.vault.address: not set; keys.provider=vault needs it." -}}
{{- end -}}
{{- if and $v.secrets.vault.address (not $v.secrets.vault.role) -}}
{{- fail "secrets.vault.role: not set; it is the role of Vault's Kubernetes login." -}}
{{- end -}}
{{- range $name, $given := $v.deployments -}}
{{- $d := mustMergeOverwrite (deepCopy $v.serving.defaults) $given -}}
{{- if and (eq $d.source "registry") (not $v.serving.keySecret) -}}
{{- fail (printf "serving.keySecret: not set; deployments.%s has source=registry and needs the service's own key." $name) -}}
{{- end -}}
{{- if and (eq $d.autoscaling.by "keda") (not $v.keda.prometheusAddress) -}}
{{- fail (printf "keda.prometheusAddress: not set; deployments.%s scales by KEDA." $name) -}}
{{- end -}}
{{- if gt (int $d.autoscaling.minReplicas) (int $d.autoscaling.maxReplicas) -}}
{{- fail (printf "deployments.%s.autoscaling: minReplicas is greater than maxReplicas." $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor $v.deployments (not $v.serving.metricsOpen) -}}
{{- fail "serving.metricsOpen: false, so /metrics of the servers answers to their own pod only; set it to true with monitoring.serviceMonitor." -}}
{{- end -}}
{{- end -}}
