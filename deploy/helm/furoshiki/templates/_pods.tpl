{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What every pod has in common: the restricted pod security standard, volumes, shutdown. */}}

{{/* OnRootMismatch matters: a recursive change would make key files readable by the group, and they are then refused. */}}
{{- define "furoshiki.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "furoshiki.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* An endpoint leaves the load balancers a moment after its pod is told to stop; until then it still answers. */}}
{{- define "furoshiki.lifecycle" -}}
preStop:
  exec:
    command: [python3, -c, "import time; time.sleep(5)"]
{{- end -}}

{{- define "furoshiki.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "furoshiki.selector" . | nindent 6 }}
{{- end -}}

{{/* Environment as a list, sorted by name: a mapping of names to texts. */}}
{{- define "furoshiki.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end -}}
{{- end -}}

{{/* Volumes of secrets: those that the settings refer to, and how to log in to Vault. */}}
{{- define "furoshiki.secretVolumes" -}}
{{- with .Values.secrets.existingSecret }}
- name: secrets
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.secrets.vault }}
{{- if .address }}
- name: vault-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ .audience }}
          expirationSeconds: 3600
{{- end }}
{{- if .caSecret }}
- name: vault-ca
  secret:
    secretName: {{ .caSecret }}
    defaultMode: 0444
{{- end }}
{{- end }}
{{- end -}}

{{- define "furoshiki.secretMounts" -}}
{{- if .Values.secrets.existingSecret }}
- name: secrets
  mountPath: /run/secrets/furoshiki
  readOnly: true
{{- end }}
{{- with .Values.secrets.vault }}
{{- if .address }}
- name: vault-token
  mountPath: /run/secrets/vault
  readOnly: true
{{- end }}
{{- if .caSecret }}
- name: vault-ca
  mountPath: /run/secrets/vault-ca
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "furoshiki.vaultEnv" -}}
{{- with .Values.secrets.vault }}
{{- if .address }}
FUROSHIKI_VAULT__ADDRESS: {{ .address | quote }}
FUROSHIKI_VAULT__AUTH: kubernetes
FUROSHIKI_VAULT__KUBERNETES_ROLE: {{ .role | quote }}
FUROSHIKI_VAULT__KUBERNETES_TOKEN_FILE: /run/secrets/vault/token
{{- if .namespace }}
FUROSHIKI_VAULT__NAMESPACE: {{ .namespace | quote }}
{{- end }}
{{- if .caSecret }}
FUROSHIKI_VAULT__CA_FILE: /run/secrets/vault-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
