{{/* The table of offices. */}}
{{- define "hufu.table" -}}
{{ .Files.Get "offices.yaml" }}
{{- end }}

{{/* Labels by which an office's pod is found; of a dict with `root` and `name`. */}}
{{- define "hufu.selector" -}}
app.kubernetes.io/name: hufu
app.kubernetes.io/instance: {{ .root.Release.Name }}
hufu/office: {{ .name }}
{{- end }}

{{- define "hufu.labels" -}}
{{ include "hufu.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "hufu.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* A mandatory file: the value, or words that say how to give it. */}}
{{- define "hufu.needed" -}}
{{- if not .value }}{{ fail (printf "%s is needed: --set-file %s" .what .how) }}{{ end -}}
{{ .value }}
{{- end }}

{{/* Where another office of this deployment is: its pod if it runs here, its addresses if elsewhere, else nowhere. */}}
{{- define "hufu.peer" -}}
{{- $own := index .root.Values.offices .name -}}
{{- if $own.enabled }}
- podSelector:
    matchLabels:
      {{- include "hufu.selector" . | nindent 6 }}
{{- end }}
{{- range index .root.Values.network.peers .name }}
- ipBlock:
    cidr: {{ . }}
{{- end }}
{{- end }}

{{/* The three that an office is one of, as JSON. */}}
{{- define "hufu.three" -}}
{{- $kind := splitList "-" . | first -}}
{{ list (printf "%s-1" $kind) (printf "%s-2" $kind) (printf "%s-3" $kind) | toJson }}
{{- end }}
