{{- define "site.name" -}}
fedcgan-{{ .Values.site }}
{{- end -}}

{{- define "site.labels" -}}
app.kubernetes.io/name: fedcgan-site
app.kubernetes.io/instance: {{ .Values.site }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "site.selector" -}}
app.kubernetes.io/name: fedcgan-site
app.kubernetes.io/instance: {{ .Values.site }}
{{- end -}}

{{/* Of every container. */}}
{{- define "site.closed" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "site.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .class }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end -}}
