{{/* A text of at most .max characters; a longer one is cut and told from others by a hash. */}}
{{- define "innovaphone-mqtt.short" -}}
{{- if le (len .text) (int .max) -}}
{{- .text -}}
{{- else -}}
{{- printf "%s-%s" (.text | trunc (int (sub .max 9)) | trimSuffix "-") (.text | sha256sum | trunc 8) -}}
{{- end -}}
{{- end -}}

{{- define "innovaphone-mqtt.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters, so that a StatefulSet of that name can label its pods. */}}
{{- define "innovaphone-mqtt.fullname" -}}
{{- $name := include "innovaphone-mqtt.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- include "innovaphone-mqtt.short" (dict "text" (.Values.fullnameOverride | default $full) "max" 52) -}}
{{- end -}}

{{/* A PBX's name as Kubernetes can have it in names. */}}
{{- define "innovaphone-mqtt.slug" -}}
{{- if regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" . -}}
{{- . -}}
{{- else -}}
{{- $plain := regexReplaceAll "[^a-z0-9]+" . "-" | trunc 19 | trimAll "-" -}}
{{- printf "%s-%s" $plain (sha256sum . | trunc 8) -}}
{{- end -}}
{{- end -}}

{{- define "innovaphone-mqtt.selector" -}}
app.kubernetes.io/name: {{ include "innovaphone-mqtt.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of everything; what selects wins over what the values say. */}}
{{- define "innovaphone-mqtt.labels" -}}
{{- $ours := include "innovaphone-mqtt.selector" . | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) -}}
{{- toYaml (merge $ours .Values.commonLabels) -}}
{{- end -}}

{{/* Labels of the pods of .unit: none that changes with the chart's version, which would replace every pod. */}}
{{- define "innovaphone-mqtt.podLabels" -}}
{{- $ours := dict "app.kubernetes.io/name" (include "innovaphone-mqtt.name" .root) -}}
{{- $_ := set $ours "app.kubernetes.io/instance" .root.Release.Name -}}
{{- $_ := set $ours "app.kubernetes.io/component" .component -}}
{{- $_ := set $ours "innovaphone-mqtt/unit" .unit.label -}}
{{- toYaml (merge $ours .root.Values.podLabels .root.Values.commonLabels) -}}
{{- end -}}

{{/* The annotations of everything and those of .more, as a section or nothing. */}}
{{- define "innovaphone-mqtt.annotations" -}}
{{- with merge (dict) (.more | default dict) .root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "innovaphone-mqtt.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "innovaphone-mqtt.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "innovaphone-mqtt.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty where an address is this pod. */}}
{{- define "innovaphone-mqtt.local" -}}
{{- regexFind "^[a-z]+://(localhost[.]?|127([.][0-9]{1,3}){3}|\\[::1\\])([:/]|$)" (lower .) -}}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "innovaphone-mqtt.validate" -}}
{{- with .Values.mqtt -}}
{{- if not (or .url .urls) }}{{ fail "mqtt.url: required, like mqtts://broker.example" }}{{ end -}}
{{- if and .url .urls }}{{ fail "mqtt: give url, or urls for a primary and its standby" }}{{ end -}}
{{- $addresses := .urls | default (list .url) -}}
{{- range $addresses -}}
{{- if regexMatch "^[a-z]+://[^/]*@" . }}{{ fail "mqtt.url: no user name or password here: use username and existingSecret" }}{{ end -}}
{{- end -}}
{{- if and (or .existingSecret .password_file) (not .username) }}{{ fail "mqtt.username: a password needs a user name" }}{{ end -}}
{{- if and .existingSecret .password_file }}{{ fail "mqtt: give existingSecret or password_file, not both" }}{{ end -}}
{{- if and .tls.existingSecret (or .tls.ca_file .tls.cert_file .tls.key_file) -}}
{{- fail "mqtt.tls: give existingSecret or files, not both" -}}
{{- end -}}
{{- if ne (empty .tls.certKey) (empty .tls.keyKey) }}{{ fail "mqtt.tls: give certKey and keyKey, or neither" }}{{ end -}}
{{- if and .tls.sha256 .tls.existingSecret .tls.caKey -}}
{{- fail "mqtt.tls: sha256 pins the certificate: set caKey to \"\"" -}}
{{- end -}}
{{- $mqtt := . -}}
{{- $plain := list -}}
{{- range $addresses -}}
{{- if hasKey (dict "mqtt" "" "ws" "") (get (urlParse (lower .)) "scheme") }}{{ $plain = append $plain . }}{{ end -}}
{{- end -}}
{{- if and $plain (lt (len $plain) (len $addresses)) -}}
{{- fail "mqtt.urls: an attacker who blocks the encrypted address gets the login over the other one: encrypt all addresses" -}}
{{- end -}}
{{- range $addresses -}}
{{- $scheme := get (urlParse (lower .)) "scheme" -}}
{{- $local := include "innovaphone-mqtt.local" . -}}
{{- $secure := get (dict "mqtt" "mqtts" "ws" "wss") $scheme -}}
{{- with $mqtt.tls -}}
{{- if and $secure (or .existingSecret .ca_file .cert_file .key_file .sha256 (not .verify)) -}}
{{- fail (printf "mqtt.tls: has no effect with %s://: write %s:// in mqtt.url, or remove it" $scheme $secure) -}}
{{- end -}}
{{- end -}}
{{- if and $secure (not $local) (not $mqtt.insecure) (or $mqtt.existingSecret $mqtt.password_file (contains "?" .)) -}}
{{- fail (printf "mqtt.url: anybody on the network path could read the password: write %s://, or mqtt.insecure: true to accept the risk" $secure) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- fail "networkPolicy.metricsFrom: podMonitor is on, but nobody may ask for metrics: name Prometheus, like [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" -}}
{{- end -}}
{{- if not .Values.pbxs }}{{ fail "pbxs: name at least one PBX (see the chart's README)" }}{{ end -}}
{{- $seen := dict -}}
{{- range .Values.pbxs -}}
{{- if hasKey $seen .name }}{{ fail (printf "pbxs: the name '%s' is given twice" .name) }}{{ end -}}
{{- $_ := set $seen .name true -}}
{{- if eq (empty .url) (empty .urls) }}{{ fail (printf "pbxs: %s: give url, or urls for a primary and its standby" .name) }}{{ end -}}
{{- $addresses := .urls | default (list .url) -}}
{{- $plain := list -}}
{{- $exposed := list -}}
{{- range $addresses -}}
{{- if hasPrefix "http:" (lower .) }}{{ $plain = append $plain . }}{{ end -}}
{{- if and (hasPrefix "http:" (lower .)) (not (include "innovaphone-mqtt.local" .)) }}{{ $exposed = append $exposed . }}{{ end -}}
{{- if regexMatch "^[a-z]+://[^/]*@" . }}{{ fail "pbxs: url: no user name or password here: use username and existingSecret" }}{{ end -}}
{{- end -}}
{{- if eq (empty .existingSecret) (empty .password_file) -}}
{{- fail (printf "pbxs: %s: give existingSecret, the Secret with the password (or password_file, a path in the pod)" .name) -}}
{{- end -}}
{{- $name := .name -}}
{{- if and $plain (lt (len $plain) (len $addresses)) -}}
{{- fail (printf "pbxs: %s: urls: an attacker who blocks the https:// address gets the login over http://: write https:// for all addresses" $name) -}}
{{- end -}}
{{- if and $plain .tls -}}
{{- fail (printf "pbxs: %s: tls: has no effect with http://: write https:// in the address, or remove it" $name) -}}
{{- end -}}
{{- if and $exposed (eq (.auth | default "digest") "basic") (not .insecure) -}}
{{- fail (printf "pbxs: %s: anybody on the network path could read the password (auth: basic): write https://, or insecure: true to accept the risk" $name) -}}
{{- end -}}
{{- with .tls -}}
{{- if and .existingSecret (or .ca_file .sha256) -}}
{{- fail (printf "pbxs: %s: tls: give one of existingSecret, ca_file, sha256" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The StatefulSets as a JSON list: their name, the label that tells them apart, arguments, replicas and PBXs.
*/}}
{{- define "innovaphone-mqtt.units" -}}
{{- include "innovaphone-mqtt.validate" . -}}
{{- $full := include "innovaphone-mqtt.fullname" . -}}
{{- $units := list -}}
{{- if eq .Values.placement "dedicated" -}}
{{- $base := include "innovaphone-mqtt.short" (dict "text" $full "max" 23) -}}
{{- range .Values.pbxs -}}
{{- $slug := include "innovaphone-mqtt.slug" .name -}}
{{- $unit := dict "name" (printf "%s-%s" $base $slug) "label" (printf "pbx-%s" $slug) "replicas" 1 -}}
{{- $units = append $units (merge $unit (dict "args" (list "--pbx" .name) "pbxs" (list .))) -}}
{{- end -}}
{{- else -}}
{{- $args := list "--shard" (printf "auto/%d" (int .Values.shards)) -}}
{{- $units = list (dict "name" $full "label" "shared" "replicas" (int .Values.shards) "args" $args "pbxs" .Values.pbxs) -}}
{{- end -}}
{{- toJson $units -}}
{{- end -}}

{{- define "innovaphone-mqtt.unitSelector" -}}
{{ include "innovaphone-mqtt.selector" .root }}
innovaphone-mqtt/unit: {{ .unit.label }}
{{- end -}}

{{/* The program's configuration for the PBXs of .unit. */}}
{{- define "innovaphone-mqtt.config" -}}
{{- $values := .root.Values -}}
{{- $secrets := "/etc/innovaphone-mqtt/secrets" -}}
{{- $mqtt := omit $values.mqtt "existingSecret" "passwordKey" "tls" -}}
{{- if $mqtt.urls }}{{ $mqtt = omit $mqtt "url" }}{{ else }}{{ $mqtt = omit $mqtt "urls" }}{{ end -}}
{{- if not $mqtt.username }}{{ $mqtt = omit $mqtt "username" }}{{ end -}}
{{- if $values.mqtt.existingSecret }}{{ $_ := set $mqtt "password_file" (printf "%s/mqtt/password" $secrets) }}{{ end -}}
{{- $tls := omit $values.mqtt.tls "existingSecret" "caKey" "certKey" "keyKey" -}}
{{- if $tls.verify }}{{ $tls = omit $tls "verify" }}{{ end -}}
{{- if not $tls.sha256 }}{{ $tls = omit $tls "sha256" }}{{ end -}}
{{- if $values.mqtt.tls.existingSecret -}}
{{- range $key, $file := dict "caKey" "ca" "certKey" "cert" "keyKey" "key" -}}
{{- if get $values.mqtt.tls $key }}{{ $_ := set $tls (printf "%s_file" $file) (printf "%s/mqtt/%s.pem" $secrets $file) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $tls }}{{ $_ := set $mqtt "tls" $tls }}{{ end -}}
{{- $pbxs := list -}}
{{- range .unit.pbxs -}}
{{- $pbx := omit . "existingSecret" "passwordKey" "tls" -}}
{{- if .existingSecret }}{{ $_ := set $pbx "password_file" (printf "%s/pbxs/%s/password" $secrets .name) }}{{ end -}}
{{- if .tls -}}
{{- $its := omit .tls "existingSecret" "caKey" -}}
{{- if .tls.existingSecret }}{{ $_ := set $its "ca_file" (printf "%s/pbxs/%s/ca.pem" $secrets .name) }}{{ end -}}
{{- if $its }}{{ $_ := set $pbx "tls" $its }}{{ end -}}
{{- end -}}
{{- $pbxs = append $pbxs $pbx -}}
{{- end -}}
{{- $http := merge (dict "listen" "0.0.0.0:9642" "probes" "0.0.0.0:9643") ($values.config.http | default dict) -}}
{{- $config := merge (dict "mqtt" $mqtt "pbxs" $pbxs "http" $http) (omit $values.config "http") -}}
{{- if ne $values.state.kind "none" }}{{ $_ := set $config "state_dir" "/var/lib/innovaphone-mqtt" }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Where the Secrets of .unit come from, each as one file. */}}
{{- define "innovaphone-mqtt.secretSources" -}}
{{- with .root.Values.mqtt -}}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .passwordKey | quote }}, path: mqtt/password}]
{{- end }}
{{- if .tls.existingSecret }}
{{- $items := list -}}
{{- range $key, $file := dict "caKey" "ca" "certKey" "cert" "keyKey" "key" -}}
{{- $name := get $.root.Values.mqtt.tls $key -}}
{{- if $name }}{{ $items = append $items (dict "key" $name "path" (printf "mqtt/%s.pem" $file)) }}{{ end -}}
{{- end -}}
{{- if $items }}
- secret:
    name: {{ .tls.existingSecret }}
    items: {{ toJson $items }}
{{- end }}
{{- end }}
{{- end -}}
{{- range .unit.pbxs -}}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .passwordKey | default "password" | quote }}, path: pbxs/{{ .name }}/password}]
{{- end }}
{{- $name := .name -}}
{{- with .tls -}}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .caKey | default "ca.crt" | quote }}, path: pbxs/{{ $name }}/ca.pem}]
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the pods of .unit and its test have in common: who they are, what they may, where they run. */}}
{{- define "innovaphone-mqtt.pod" -}}
{{- with .root.Values -}}
serviceAccountName: {{ include "innovaphone-mqtt.serviceAccount" $.root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if not (kindIs "invalid" .hostUsers) }}
hostUsers: {{ .hostUsers }}
{{- end }}
securityContext:
  {{- toYaml .podSecurityContext | nindent 2 }}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $.root.Values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "innovaphone-mqtt.container" -}}
{{- with .root.Values -}}
image: {{ include "innovaphone-mqtt.image" $.root | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
command: [innovaphone-mqtt]
securityContext:
  {{- toYaml .securityContext | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- with .extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "innovaphone-mqtt.mounts" -}}
- {name: config, mountPath: /etc/innovaphone-mqtt/config, readOnly: true}
- {name: secrets, mountPath: /etc/innovaphone-mqtt/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "innovaphone-mqtt.volumes" -}}
- name: config
  configMap:
    name: {{ .unit.name }}-config
- name: secrets
  projected:
    # Read by the pod's group; the program refuses a password that everybody can read.
    defaultMode: 0440
    {{- with include "innovaphone-mqtt.secretSources" . | trim }}
    sources:
      {{- . | nindent 6 }}
    {{- else }}
    sources: []
    {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
