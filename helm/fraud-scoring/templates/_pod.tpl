{{/* What both workloads share, around their own container settings. */}}

{{/* A hash of all configuration: a change of any of it rolls the pods. */}}
{{- define "scoring.checksum" -}}
{{- include (print .Template.BasePath "/config.yaml") . | sha256sum -}}
{{- end -}}

{{- define "scoring.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "scoring.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "scoring.env" -}}
{{- if .Values.redis.existingSecret.name }}
- name: SCORING_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret.name }}
      key: {{ .Values.redis.existingSecret.key }}
{{- end }}
{{- with .Values.redis.sentinelSecret }}
{{- if .name }}
- name: SCORING_REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .passwordKey }}
{{- if .usernameKey }}
- name: SCORING_REDIS_SENTINEL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .usernameKey }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.kafka.existingSecret.name }}
- name: SCORING_KAFKA_OPTIONS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.kafka.existingSecret.name }}
      key: {{ .Values.kafka.existingSecret.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "scoring.modelDir" -}}
{{- if eq .Values.model.source "baked" }}{{ .Values.model.path }}{{ else }}/model{{ end -}}
{{- end -}}

{{- define "scoring.initContainers" -}}
{{- if eq .Values.model.source "image" }}
initContainers:
  - name: model
    image: {{ required "model.image: required with model.source=image" .Values.model.image }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [cp, -R, {{ printf "%s/." .Values.model.path | quote }}, /target]
    securityContext:
      {{- include "scoring.containerSecurity" . | nindent 6 }}
    resources:
      requests: {cpu: 50m, memory: 64Mi}
      limits: {memory: 256Mi}
    volumeMounts:
      - {name: model, mountPath: /target}
{{- end }}
{{- end -}}

{{- define "scoring.volumeMounts" -}}
- {name: state, mountPath: /var/lib/scoring}
- {name: tmp, mountPath: /tmp}
- {name: files, mountPath: /etc/scoring, readOnly: true}
{{- if .Values.rates.configMap.name }}
- {name: rates, mountPath: /etc/scoring-rates, readOnly: true}
{{- end }}
{{- if ne .Values.model.source "baked" }}
- name: model
  mountPath: /model
  readOnly: {{ ne .Values.model.source "url" }}
  {{- if and (eq .Values.model.source "claim") .Values.model.subPath }}
  subPath: {{ .Values.model.subPath }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "workload" .Values.serve) */}}
{{- define "scoring.volumes" -}}
- name: state
  emptyDir: {sizeLimit: {{ .workload.spoolSize }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: files
  configMap:
    name: {{ include "scoring.name" .root }}-files
{{- with .root.Values.rates.configMap.name }}
- name: rates
  configMap: {name: {{ . }}}
{{- end }}
{{- if eq .root.Values.model.source "claim" }}
- name: model
  persistentVolumeClaim:
    claimName: {{ required "model.existingClaim: required with model.source=claim" .root.Values.model.existingClaim }}
    readOnly: true
{{- else if has .root.Values.model.source (list "image" "url") }}
- name: model
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "component" "serve" "workload" .Values.serve) */}}
{{- define "scoring.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .workload.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "scoring.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "scoring.podMetadata" -}}
labels:
  {{- include "scoring.labels" . | nindent 2 }}
  {{- with .workload.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "scoring.checksum" .root }}
  {{- with .workload.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
