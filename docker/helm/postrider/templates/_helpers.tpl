{{/* The name of everything: the release's, with `postrider` in it. */}}
{{- define "postrider.name" -}}
{{- if contains "postrider" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-postrider" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a component: (list . "worker"). */}}
{{- define "postrider.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: postrider
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object: (list . "worker"). */}}
{{- define "postrider.labels" -}}
{{- $root := index . 0 -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The variable with the URL of Redis, from a secret. */}}
{{- define "postrider.redis" -}}
- name: POSTRIDER_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ if .Values.redis.url }}{{ include "postrider.name" . }}-redis{{ else }}{{ .Values.redis.existingSecret }}{{ end }}
      key: {{ if .Values.redis.url }}url{{ else }}{{ .Values.redis.key }}{{ end }}
{{- end -}}

{{/* What every pod may not do. */}}
{{- define "postrider.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "postrider.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "postrider.image" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{/* Rules of a network policy that every pod needs: name servers, Redis, telemetry. */}}
{{- define "postrider.egress" -}}
{{- with .Values.networkPolicy -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
- ports:
    - { protocol: TCP, port: {{ .redis.port }} }
  {{- with .redis.peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
- ports:
    - { protocol: TCP, port: {{ .telemetry.port }} }
  {{- with .telemetry.peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}
