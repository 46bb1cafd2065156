"""Draws the pictures, films and sounds of the demo library. Run by hand; needs ffmpeg.

    python tests/lib/make_demo_media.py [FOLDER]

FOLDER is `mirror/demo/media` unless given. Everything in it is computed here, from formulas, by
ffmpeg's `geq`, `mandelbrot`, `life` and `aevalsrc`: nothing was photographed, recorded or copied.
The same ffmpeg gives the same bytes on every run. Another version of it, or of its encoders, may
give others, so the files are kept in git; `mirror/demo/library.py` repeats their sizes and
durations. These were made with ffmpeg 5.1 with libx264 and libmp3lame, in about two minutes.

In the formulas, `st(1,…)` stores a number and `ld(1)` reads it back; X, Y, W, H and T are the
pixel, the size of the picture and the time in seconds.
"""

import subprocess
import sys
from pathlib import Path

MEDIA = Path(__file__).resolve().parents[2] / "mirror" / "demo" / "media"

FPS = 20
SECONDS = 3
TURN = f"(2*PI*T/{SECONDS})"
"""The phase of a film, in radians: every motion repeats with it, so films loop without a jump."""

BITEXACT = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact", "-threads", "1"]
"""No dates, no names of programs, no thread-dependent choices in the files."""


def main(folder: Path) -> None:
    """Draws everything into `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)

    film(folder / "northern-lights.mp4", northern_lights(), chord(110, 164.8, 220, 277.2))
    film(folder / "pinwheels.mp4", pinwheels(FPS), chord(146.8, 220, 293.7, 440), crf=32)
    film(folder / "lava-lamp.mov", lava_lamp(), chord(98, 146.8, 196, 246.9))
    still(folder / "northern-lights.mp4", folder / "northern-lights.cover.jpg", at_s=0.6)
    still(folder / "pinwheels.mp4", folder / "pinwheels.cover.jpg", at_s=0)
    still(folder / "lava-lamp.mov", folder / "lava-lamp.cover.jpg", at_s=1.2)

    picture(folder / "sunset.jpg", sunset())
    picture(folder / "seahorse-valley.jpg", seahorse_valley())
    picture(folder / "snowflakes.png", snowflakes(), colours=96)
    picture(folder / "embers.png", embers(), colours=32)
    picture(folder / "pinwheels.still.png", pinwheels(1), colours=64)

    sound(folder / "bell.wav", bell(), seconds=1, options=["-ar", "22050"])
    sound(folder / "arpeggio.mp3", arpeggio(), seconds=4, options=["-b:a", "40k"])


# What is drawn. Each function answers a graph of ffmpeg's filters.


def northern_lights() -> str:
    """Green and violet curtains over dark hills, and a few stars."""
    green_edge = f"0.62+0.07*sin(5*ld(0)+{TURN})+0.05*sin(11*ld(0)-{TURN}+1)"
    violet_edge = f"0.45+0.06*sin(4*ld(0)-{TURN}+2)+0.04*sin(9*ld(0)+{TURN})"
    green_rays = (
        f"(0.62+0.38*sin(60*ld(0)+4*sin(7*ld(0)+{TURN}))*sin(23*ld(0)-{TURN}))"
        f"*(0.65+0.35*sin(6*ld(0)-{TURN}))"
    )
    violet_rays = f"(0.6+0.4*sin(47*ld(0)+3*sin(6*ld(0)-{TURN})))*(0.55+0.45*sin(5*ld(0)+{TURN}+2))"
    hills = "0.80+0.05*sin(7*ld(0)+0.6)+0.025*sin(17*ld(0))+0.012*sin(41*ld(0)+1)"
    noise = "mod(abs(sin(floor(X/2)*12.9898+floor(Y/2)*78.233)*43758.5453),1)"
    steps = (
        f"st(0,X/W);st(1,Y/H);st(2,{green_edge});st(3,{violet_edge});"
        f"st(4,({green_rays})*if(lt(ld(1),ld(2)),exp((ld(1)-ld(2))*5.5),exp((ld(2)-ld(1))*38)));"
        f"st(5,({violet_rays})*if(lt(ld(1),ld(3)),exp((ld(1)-ld(3))*7),exp((ld(3)-ld(1))*30)));"
        f"st(6,clip(({hills}-ld(1))*H/1.5,0,1));"
        f"st(7,gt({noise},0.9965)*0.55*(1-ld(1)));"
        "st(8,clip(ld(2)-ld(1),0,0.5));"
    )
    land = "(1-ld(6))*0.012*(1+ld(1))"
    return canvas("320x180", FPS) + colours(
        f"ld(6)*(0.02+0.05*ld(1)+ld(4)*(0.05+1.5*ld(8))+0.30*ld(5)+ld(7))+{land}",
        f"ld(6)*(0.03+0.10*ld(1)+ld(4)*0.95+0.22*ld(5)+ld(7))+{land}",
        f"ld(6)*(0.10+0.17*ld(1)+ld(4)*(0.42+0.9*ld(8))+0.52*ld(5)+ld(7))+{land}",
        steps=steps,
    )


def lava_lamp() -> str:
    """Warm blobs that rise, sink and melt into each other, upright."""
    blobs = [  # x, radius, phase, travel, direction
        (-0.45, 0.30, 0.0, 1.35, 1),
        (0.40, 0.34, 2.1, 1.25, 1),
        (0.00, 0.40, 4.0, 1.10, 1),
        (0.22, 0.20, 1.0, 1.50, -1),
        (-0.20, 0.22, 5.2, 1.40, -1),
    ]
    heat = "".join(
        f"+{radius * radius:.4f}/((ld(0)-({x})-0.16*sin({TURN}+{2 * phase}))^2"
        f"+(ld(1)-{travel}*sin({way}*{TURN}+{phase}))^2+0.002)"
        for x, radius, phase, travel, way in blobs
    )
    pools = "+0.10/((ld(1)-1.95)^2+0.02)+0.05/((ld(1)+1.98)^2+0.02)"
    steps = (
        f"st(0,(X-W/2)/W*2);st(1,(Y-H/2)/W*2);st(2,0{heat}{pools});"
        "st(3,clip((ld(2)-1)*3.2,0,1));st(4,clip(1.35*(1-1/max(ld(2),1)),0,1));"
        "st(5,Y/H);st(6,clip(ld(2),0,1)^3);"
    )
    return canvas("180x320", FPS) + colours(
        "(1-ld(3))*(0.16+0.34*ld(5)+0.30*ld(6))+ld(3)*(0.93+0.07*ld(4))",
        "(1-ld(3))*(0.03+0.05*ld(5)+0.06*ld(6))+ld(3)*(0.22+0.62*ld(4))",
        "(1-ld(3))*(0.28+0.10*ld(5)+0.10*ld(6))+ld(3)*(0.16+0.28*ld(4))",
        steps=steps,
    )


def pinwheels(rate: int) -> str:
    """A Julia set of spirals that breathes; with a rate of 1, a picture of it."""
    fractal = julia(f"-0.754+0.003*sin({TURN})", f"0.112+0.003*cos({TURN})", width=1.8, count=250)
    return (
        canvas("640x360", rate)
        + fractal
        + tint(1.05, (3.4, 2.6, 1.8), count=250)
        + shrink("320x180")
    )


def snowflakes() -> str:
    """A Julia set, blue and gold."""
    fractal = julia("-0.4", "0.6", width=2.5, count=300)
    return canvas("960x960") + fractal + tint(1.2, (1.4, 2.6, 3.8), count=300) + shrink("320x320")


def seahorse_valley() -> str:
    """A corner of the Mandelbrot set, upright, violet and gold."""
    source = (
        "mandelbrot=s=1200x1600:r=1:start_x=-0.743643887:start_y=-0.131825904"
        ":start_scale=0.0026:end_scale=0.0026:maxiter=1500:inner=black"
        ":outer=normalized_iteration_count,format=gbrp,"
    )
    steps = "st(0,r(X,Y)/255);"
    return (
        source
        + colours(
            "0.05+0.95*ld(0)^1.5",
            "0.06+0.75*ld(0)^1.8",
            "0.25+0.45*sin(PI*ld(0))+0.2*ld(0)",
            steps=steps,
        )
        + shrink("300x400")
    )


def sunset() -> str:
    """The sun over the sea, between hills."""
    glow = "exp(-hypot(X-W*0.5,(Y-H*0.52)*1.15)/H*3.2)"
    ripples = "sin(max(Y-H*0.6,0)^0.62*5+4*sin(X/W*9+Y*0.7))"
    steps = (
        "st(0,X/W);st(1,Y/H);"
        "st(2,clip((0.6-ld(1))*H/1.5,0,1));"  # 1 above the horizon
        f"st(3,{glow});"
        "st(4,clip((0.115*H-hypot(X-W*0.5,Y-H*0.5))/1.5,0,1)*ld(2));"  # the sun's disc
        "st(5,max((ld(1)-0.6)/0.4,0));"  # nearness of the water
        f"st(6,exp(-abs(ld(0)-0.5)/(0.045+0.10*ld(5)))*(0.55+0.45*{ripples})*(1-0.45*ld(5)));"
        "st(7,clip((ld(1)-(0.60-0.26*exp(-((ld(0)-0.05)/0.20)^2)-0.17*exp(-((ld(0)-0.30)/0.09)^2)"
        "-0.008*sin(ld(0)*70)))*H/1.5,0,1)*ld(2));"  # the hills on the left
        "st(8,clip((ld(1)-(0.60-0.20*exp(-((ld(0)-0.97)/0.17)^2)-0.11*exp(-((ld(0)-0.74)/0.07)^2)"
        "-0.006*sin(ld(0)*90)))*H/1.5,0,1)*ld(2));"  # and on the right
        "st(9,1-max(ld(7),ld(8)));"
    )

    def shade(sky: str, sea: str, hill: str, sun: str) -> str:
        air = f"(1-ld(4))*clip({sky},0,1)+ld(4)*{sun}"
        return f"ld(2)*(ld(9)*({air})+(1-ld(9))*({hill}))+(1-ld(2))*({sea})"

    return canvas("640x360") + colours(
        shade("0.20+0.85*ld(1)+0.75*ld(3)", "0.42-0.34*ld(5)+0.75*ld(6)", "0.17+0.10*ld(3)", "1"),
        shade(
            "0.10+0.42*ld(1)+0.62*ld(3)", "0.20-0.13*ld(5)+0.50*ld(6)", "0.07+0.05*ld(3)", "0.93"
        ),
        shade("0.36+0.08*ld(1)+0.06*ld(3)", "0.34-0.16*ld(5)+0.16*ld(6)", "0.19", "0.68"),
        steps=steps,
    )


def embers() -> str:
    """Conway's game of life, where cells glow on for a while after their death."""
    return (
        "life=s=128x128:r=25:seed=7:ratio=0.35:mold=10"
        ":life_color=0xfff1c1:death_color=0xf0642f:mold_color=0x141b3c,"
        "trim=end_frame=71,select='eq(n,70)',scale=384:384:flags=neighbor,format=gbrp"
    )


def chord(*pitches_hz: float) -> str:
    """A soft chord that swells once and ends where it began."""
    swell = f"sin(PI*t/{SECONDS})^2"
    tones = "+".join(
        f"{0.6 / len(pitches_hz):.3f}*sin(2*PI*{pitch}*t)*(0.8+0.2*sin(2*PI*{0.4 + 0.3 * i:.1f}*t))"
        for i, pitch in enumerate(pitches_hz)
    )
    return f"aevalsrc='{swell}*({tones})'"


def bell() -> str:
    """One stroke of a small bell: partials that are no multiples of each other."""
    partials = [(1, 0.42, 4), (2.76, 0.2, 7), (5.4, 0.1, 11), (0.5, 0.12, 3)]
    tones = "+".join(f"{a}*sin(2*PI*{660 * f:.1f}*t)*exp(-{d}*t)" for f, a, d in partials)
    return f"aevalsrc='({tones})*min(t*400,1)*min((1-t)*20,1)'"


def arpeggio() -> str:
    """A plucked chord, up and down."""
    pitches_hz = [261.63, 329.63, 392.0, 493.88, 523.25, 659.26, 523.25, 493.88, 392.0, 329.63]
    notes = "+".join(
        f"gte(t,{start:.1f})*exp(-(t-{start:.1f})*3.2)*min((t-{start:.1f})*200,1)"
        f"*(0.26*sin(2*PI*{pitch}*t)+0.08*sin(4*PI*{pitch}*t)+0.03*sin(6*PI*{pitch}*t))"
        for start, pitch in ((0.3 * i, pitch) for i, pitch in enumerate(pitches_hz))
    )
    return f"aevalsrc='({notes})*min((4-t)*2,1)'"


# How it is drawn.


def canvas(size: str, rate: int = 1) -> str:
    """A black film, or with a rate of 1 a black picture, for the filters that follow."""
    seconds = 1 if rate == 1 else SECONDS
    return f"color=black:s={size}:r={rate}:d={seconds},format=gbrp,"


def colours(red: str, green: str, blue: str, *, steps: str) -> str:
    """A filter that does `steps` at each pixel, then computes the colours, each from 0 to 1."""
    channels = {"r": red, "g": green, "b": blue}
    return "geq=" + ":".join(f"{c}='{steps}255*clip({e},0,1)'" for c, e in channels.items())


def julia(real: str, imaginary: str, *, width: float, count: int) -> str:
    """A filter that leaves in the green channel how soon each point leaves a Julia set.

    It is the square root of the smoothed number of steps, as a part of `count`'s, of 65535; points
    that never leave are 0. `width` is the height of the picture in the plane.
    """
    escape = (
        f"st(0,(X-W/2)/H*{width});st(1,(Y-H/2)/H*{width});st(2,0);st(4,{real});st(5,{imaginary});"
        f"while(lt(ld(2),{count})*lt(ld(0)^2+ld(1)^2,400),"
        "st(3,ld(0)*ld(0)-ld(1)*ld(1)+ld(4));st(1,2*ld(0)*ld(1)+ld(5));st(0,ld(3));"
        "st(2,ld(2)+1));"
        "st(6,ld(2)-log(log(ld(0)*ld(0)+ld(1)*ld(1)+1.0001)/2)/log(2));"
        f"65535*lt(ld(2),{count})*clip(sqrt(max(ld(6),0)/{count}),0.001,1)"
    )
    return f"format=gbrp16,geq=r=0:b=0:g='{escape}',"


def tint(pace: float, phases: tuple[float, float, float], *, count: int) -> str:
    """A filter that turns what `julia` left into colours, along a wave for each of them."""
    steps = f"st(0,g(X,Y)/65535*sqrt({count}))"
    return "geq=" + ":".join(
        f"{name}='{steps};65535*gt(ld(0),0)*(0.5+0.48*cos(ld(0)*{pace}+{phase}))'"
        for name, phase in zip("rgb", phases, strict=True)
    )


def shrink(size: str) -> str:
    """A filter that smooths the picture by making it smaller."""
    return f",scale={size.replace('x', ':')}:flags=area+accurate_rnd+bitexact,format=gbrp"


# How it is written.


def film(path: Path, graph: str, music: str, *, crf: int = 27) -> None:
    """Writes a film with sound: H.264 and AAC; a higher `crf` makes it smaller and coarser."""
    video = ["-c:v", "libx264", "-preset", "veryslow", "-crf", str(crf), "-pix_fmt", "yuv420p"]
    audio = ["-c:a", "aac", "-b:a", "40k", "-ar", "44100", "-ac", "1"]
    no_encoder_name = ["-bsf:v", "filter_units=remove_types=6"]
    to_yuv = ",scale=out_color_matrix=bt709:flags=accurate_rnd+bitexact,format=yuv420p"
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    ffmpeg(
        ["-f", "lavfi", "-i", graph + to_yuv, "-f", "lavfi", "-i", music + ":s=44100"],
        [*video, *tags, *no_encoder_name, *audio, "-t", str(SECONDS), "-movflags", "+faststart"],
        path,
    )


def still(source: Path, path: Path, *, at_s: float) -> None:
    """Writes one picture of a film as a JPEG."""
    ffmpeg(["-ss", str(at_s), "-i", str(source)], ["-frames:v", "1", "-q:v", "4"], path)


def picture(path: Path, graph: str, *, colours: int = 0) -> None:
    """Writes a picture, in the format of its suffix; as few `colours` make a PNG small."""
    if colours:
        graph += f",split[a][b];[a]palettegen=max_colors={colours}:reserve_transparent=0[p]"
        graph += ";[b][p]paletteuse=dither=none"
    options = (
        ["-q:v", "4"] if path.suffix == ".jpg" else ["-compression_level", "9", "-pred", "none"]
    )
    ffmpeg(["-f", "lavfi", "-i", graph], [*options, "-frames:v", "1"], path)


def sound(path: Path, music: str, *, seconds: int, options: list[str]) -> None:
    """Writes a sound in one channel, in the format of its suffix."""
    ffmpeg(["-f", "lavfi", "-i", music + ":s=44100"], [*options, "-t", str(seconds)], path)


def ffmpeg(sources: list[str], options: list[str], path: Path) -> None:
    """Runs ffmpeg.

    Raises:
        subprocess.CalledProcessError: It failed, and has said why.
    """
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *sources, *options, *BITEXACT, str(path)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else MEDIA)
