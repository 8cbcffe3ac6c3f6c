#!/bin/sh
# Makes jostle-tune.mp3: a minute of music out of a formula, so that nobody but this project has rights in it.
# Usage: make-tune.sh [OUT.mp3]; needs ffmpeg and lame. The same versions of both give the same bytes again.
set -eu
out=${1:-jostle-tune.mp3}
wav=$(mktemp --suffix .wav)
trap 'rm -f "$wav"' EXIT

# In every expression: ld(0) the root of the chord as a MIDI note (Am, F, C, G, two seconds each), ld(1) its third in semitones,
# ld(2) the time since this eighth note began, ld(3) its note. A pluck is a few harmonics that die away.
chord="st(0, if(lt(mod(t,8),2), 45, if(lt(mod(t,8),4), 41, if(lt(mod(t,8),6), 48, 43)))); st(1, 3 + gte(mod(t,8),2));"
eighth="st(2, mod(t,0.25)); st(4, floor(mod(t,2)*4));
  st(3, ld(0) + 12 + if(eq(ld(4),0), 0, if(eq(mod(ld(4),6),1), 7, if(eq(mod(ld(4),4),2), 12, if(eq(ld(4),4), 19, 12+ld(1))))));"
pluck="st(5, 2*PI*ld(2)*440*2^((ld(3)-69)/12));
  (sin(ld(5)) + 0.4*sin(2*ld(5)) + 0.15*sin(3*ld(5))) * min(1, 200*ld(2)) * min(1, 100*(0.25-ld(2))) * exp(-7*ld(2))"
bass="st(5, 2*PI*mod(t,2)*440*2^((ld(0)-12-69)/12));
  (sin(ld(5)) + 0.5*sin(2*ld(5)) + 0.2*sin(3*ld(5))) * min(1, 100*mod(t,2)) * min(1, 50*(2-mod(t,2))) * exp(-1.2*mod(t,2))"
# The lead walks a pentatonic scale from the ninth second on; its steps do not repeat within the minute, so no two bars are alike.
lead="st(6, floor(t*2)); st(7, mod(ld(6)*ld(6) + floor(ld(6)/3), 5)); st(8, mod(t,0.5));
  st(3, 69 + if(eq(ld(7),0), 0, if(eq(ld(7),1), 3, if(eq(ld(7),2), 5, if(eq(ld(7),3), 7, 10)))));
  st(5, 2*PI*440*2^((ld(3)-69)/12)*ld(8) + 0.15*sin(2*PI*5.3*t));
  (sin(ld(5)) + 0.2*sin(2*ld(5))) * min(1, 40*ld(8)) * min(1, 20*(0.5-ld(8))) * exp(-2.5*ld(8)) * gte(t,8) * lt(mod(ld(6)*5,13),9)"
# A pad under it all: the triad, its two sides a hair apart in pitch.
pad() {
  echo "st(5, 2*PI*t*$1*440*2^((ld(0)+12-69)/12)); (sin(ld(5)) + sin(ld(5)*2^(ld(1)/12)) + sin(ld(5)*2^(7/12))) * sin(PI*mod(t,2)/2)^0.5"
}
fade="min(1, t/2) * min(1, (60-t)/4)"
side() { # side PAN_OF_PLUCK PAN_OF_LEAD DETUNE
  echo "$chord $eighth $fade * ($1*($pluck) + 0.22*($bass) + $2*($lead) + 0.035*($(pad "$3")))" | tr -d '\n'
}
ffmpeg -v error -y -f lavfi -i "aevalsrc=exprs='$(side 0.24 0.12 0.999)|$(side 0.14 0.20 1.001)':s=44100:d=60" \
  -fflags +bitexact -flags:a +bitexact "$wav"
# -p puts a CRC into every frame, -t writes no Xing frame: every frame of the file is sound.
lame --quiet -b 128 --cbr -p -t --id3v2-only --tt "Jostle Tune" --ta "jostle" "$wav" "$out"
