{{- define "coordinator.name" -}}
fedcgan-{{ .Values.federation }}
{{- end -}}

{{- define "coordinator.labels" -}}
{{ include "coordinator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "coordinator.selector" -}}
app.kubernetes.io/name: fedcgan-coordinator
app.kubernetes.io/instance: {{ .Values.federation }}
{{- end -}}

{{- define "coordinator.closed" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}
