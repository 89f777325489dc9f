{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Scales one deployment on its queue and on CPU. The HPA's queue needs an adapter that gives the API custom.metrics.k8s.io the
     gauge furoshiki_queue_rows per pod (see docs/how-to/deploy-on-kubernetes.md); KEDA asks Prometheus itself. */}}

{{- define "furoshiki.scaler" }}
{{- $s := .given }}
{{- if eq $s.by "hpa" }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  labels:
    {{- include "furoshiki.labels" .labels | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ $s.minReplicas }}
  maxReplicas: {{ $s.maxReplicas }}
  metrics:
    - type: Pods
      pods:
        metric:
          name: furoshiki_queue_rows
        target:
          type: AverageValue
          averageValue: {{ $s.queueRows | quote }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $s.cpuPercent }}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      policies:
        - type: Percent
          value: 100
          periodSeconds: 15
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
        - type: Pods
          value: 1
          periodSeconds: 60
{{- else }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .name }}
  labels:
    {{- include "furoshiki.labels" .labels | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ .name }}
  minReplicaCount: {{ $s.minReplicas }}
  maxReplicaCount: {{ $s.maxReplicas }}
  cooldownPeriod: 300
  triggers:
    - type: prometheus
      metadata:
        serverAddress: {{ .root.Values.keda.prometheusAddress }}
        query: {{ printf "sum(furoshiki_queue_rows{namespace=%q,service=%q})" .root.Release.Namespace .name | quote }}
        threshold: {{ $s.queueRows | quote }}
    - type: cpu
      metricType: Utilization
      metadata:
        value: {{ $s.cpuPercent | quote }}
{{- end }}
{{- end }}
