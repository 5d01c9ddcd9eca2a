{{- define "accode-proxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "accode-proxy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "accode-proxy.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "accode-proxy.selector" -}}
app.kubernetes.io/name: {{ include "accode-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "accode-proxy.labels" -}}
{{ include "accode-proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "accode-proxy.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end -}}
{{- end -}}

{{- define "accode-proxy.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The top of a container of ours: the image, and the settings as environment variables. */}}
{{- define "accode-proxy.program" -}}
image: {{ include "accode-proxy.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.settings }}
env:
  {{- range $name, $value := . }}
  - name: ACCODE_PROXY_{{ $name | replace "." "__" | upper }}
    value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "accode-proxy.listener" }}
[[listeners]]
protocol = {{ .protocol | quote }}
host = "0.0.0.0"
port = {{ .port }}
tls_certificate = "/run/secrets/accode-proxy/tls.crt"
tls_key = "/run/secrets/accode-proxy/tls.key"
tls_profile = {{ .profile | quote }}
plaintext = "never"
{{ end -}}

{{- define "accode-proxy.storeUrl" -}}
{{- $url := printf "postgresql://%s@%s:%d/%s?passfile=/run/secrets/accode-proxy/store.pgpass&sslmode=%s" .user .host (int .port) .database .sslmode -}}
{{- if hasPrefix "verify-" .sslmode -}}
{{- $url = printf "%s&sslrootcert=/run/secrets/accode-proxy/store-ca.crt" $url -}}
{{- end -}}
{{- $url -}}
{{- end -}}

{{- define "accode-proxy.config" -}}
# Made by the chart; docs/configuration.md has every setting.
{{- with .Values.listeners }}
{{- if not (or .postgres.enabled .mysql.enabled) }}
{{- fail "listeners: enable postgres, mysql, or both" }}
{{- end }}
{{- if .postgres.enabled }}
{{ include "accode-proxy.listener" (dict "protocol" "postgres" "port" .postgres.port "profile" .tlsProfile) }}
{{- end }}
{{- if .mysql.enabled }}
{{ include "accode-proxy.listener" (dict "protocol" "mysql" "port" .mysql.port "profile" .tlsProfile) }}
{{- end }}
{{- end }}
[store]
url = {{ include "accode-proxy.storeUrl" .Values.store | quote }}

[keys]
file = "/run/secrets/accode-proxy/local.key"

[audit]
# A folder of the proxy's own within the volume, whose top may have a lost+found.
folder = "/var/lib/accode-proxy/audit"

[egress]
allow_private = {{ .Values.egress.allowPrivate }}
ports = {{ .Values.egress.ports | toJson }}

[limits]
sessions = {{ int .Values.limits.sessions }}
sessions_per_workspace = {{ int .Values.limits.sessionsPerWorkspace }}
drain_deadline = {{ int .Values.drainSeconds }}

[logs]
format = "json"
level = {{ .Values.logLevel | quote }}

[metrics]
host = "0.0.0.0"
port = 9432

{{- if .Values.admin.enabled }}
{{- $service := printf "%s-admin" (include "accode-proxy.fullname" .) }}
{{- $space := .Release.Namespace }}
{{- $own := list $service (printf "%s.%s" $service $space) (printf "%s.%s.svc" $service $space) }}

[admin]
host = "0.0.0.0"
port = 8432
tls_certificate = "/run/secrets/accode-proxy/tls.crt"
tls_key = "/run/secrets/accode-proxy/tls.key"
names = {{ concat $own (list (printf "%s.%s.svc.cluster.local" $service $space)) .Values.admin.names | toJson }}
{{- end }}

[control]
socket = "/run/accode-proxy/control.sock"

[workers]
count = {{ int .Values.workers }}
{{ end -}}
